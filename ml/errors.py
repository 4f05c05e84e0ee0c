"""
What `ml` refuses.

MlError
├── ShapeError           an array is not of the shape or dtype that the function takes
├── DeviceError
│   ├── GpuMissingError       a GPU is asked for and there is none that works
│   ├── PrecisionMissingError the processor cannot run networks in the precision that is asked for
│   ├── DeviceFullError       one image alone does not fit into the GPU's free memory
│   ├── DeviceLostError       the GPU, or what feeds it, is gone for this process: only a new process gets it back
│   └── SessionClosedError    the session was closed, so that nothing runs on it any more
├── SmearError           a smear mask says nothing that can be done
│   ├── SmearSizeError        it is not of the photo's size
│   ├── SmearEmptyError       it holds no stroke
│   └── SmearTooLargeError    it covers too much of the photo
├── TemplateError        a customer's own mark cannot be learned, read or used
└── WeightsError
    ├── WeightsMissingError   no usable weights file: run `python -m ml.weights fetch`
    ├── WeightsDamagedError   a file's SHA-256 is not the pinned one
    └── WeightsMismatchError  a file's convolutions are not those of the network that should take them
"""

from __future__ import annotations


class MlError(Exception):
    """Base of every error that `ml` raises on purpose."""


class ShapeError(MlError):
    """An array has the wrong shape or dtype."""


class DeviceError(MlError):
    """The device that networks run on cannot do what is asked."""


class GpuMissingError(DeviceError):
    """A GPU is asked for and there is none that works; the message says what is missing."""


class PrecisionMissingError(DeviceError):
    """The processor cannot run networks in the precision that is asked for; the message says what it can."""


class DeviceFullError(DeviceError):
    """One image alone does not fit into the GPU's free memory."""


class DeviceLostError(DeviceError):
    """The GPU, or the thread that feeds it, is gone for this process; only a new process gets it back."""


class SessionClosedError(DeviceError):
    """The session was closed, so nothing runs on it any more."""


class SmearError(MlError):
    """A smear mask says nothing that can be done; the message is a sentence for the caller."""


class SmearSizeError(SmearError):
    """The smear mask is not of the photo's size."""


class SmearEmptyError(SmearError):
    """The smear mask holds no stroke: it is all black, all white, or noise."""


class SmearTooLargeError(SmearError):
    """The smear covers so much that nothing would be left to restore the photo from."""


class TemplateError(MlError):
    """A customer's own mark cannot be learned, read or used; the message is a sentence for the caller."""


class WeightsError(MlError):
    """Weights cannot be used."""


class WeightsMissingError(WeightsError):
    """No usable weights file is there. Set-up fetches them; nothing is fetched at run time."""


class WeightsDamagedError(WeightsError):
    """A weights file is there, but its SHA-256 is not the pinned one."""


class WeightsMismatchError(WeightsError):
    """The convolutions in a weights file are not those of the network that should take them."""
