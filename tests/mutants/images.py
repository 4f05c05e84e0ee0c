"""Pixels: upright, in their colours, with their transparency, and nothing of anybody's life."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_IMAGES = "tests/contract/test_images.py"
_DECODING = "tests/core/test_decoding.py"
_COMPOSITING = "tests/ml/test_compositing.py"
_WHOLE = "tests/core/test_wholeness.py"
_SMEAR = "tests/ml/test_watermark_smear.py"
_FILE = "apps/core/pictures/decoding.py"

# What `decoding._upright` does for each orientation; 1 is the picture as it is.
_TURNS = {
    2: "turned = cv2.flip(pixels, 1)",
    3: "turned = cv2.rotate(pixels, cv2.ROTATE_180)",
    4: "turned = cv2.flip(pixels, 0)",
    5: "turned = cv2.transpose(pixels)",
    6: "turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)",
    7: "turned = cv2.flip(cv2.transpose(pixels), -1)",
    8: "turned = cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)",
}
_ORIENTATIONS = tuple(
    Mutant(
        f"orientation {number} is half right",
        _FILE,
        turn,
        f"turned = np.ascontiguousarray(({turn.removeprefix('turned = ')})[::-1])",
        f"{_DECODING}::test_every_orientation_comes_out_upright",
    )
    for number, turn in _TURNS.items()
)

MUTANTS = (
    *_ORIENTATIONS,
    Mutant(
        "transparency is not turned with the picture",
        _FILE,
        "None if opacity is None else _upright(opacity, header.orientation),",
        "opacity,",
        f"{_DECODING}::test_opacity_is_turned_with_the_picture",
    ),
    Mutant(
        "limits hold for the picture as it is stored",
        "apps/core/pictures/inspection.py",
        "turned = raw.orientation >= 5",
        "turned = False",
        "tests/core/test_inspection.py::test_limits_hold_for_the_upright_image",
    ),
    Mutant(
        "profiles are dropped",
        "apps/core/pictures/colour.py",
        "return icc_profile if icc_profile and _transform(icc_profile, mode) else None",
        "return None",
        f"{_IMAGES}::test_colour_profile_is_kept_in_every_output_with_colours",
    ),
    Mutant(
        "networks see the colours of another space",
        _FILE,
        "return rgb_to_srgb(rgb, self.icc_profile)",
        "return rgb",
        f"{_DECODING}::test_an_rgb_profile_is_kept_with_untouched_pixels",
    ),
    Mutant(
        "print colours are guessed although their profile is there",
        "apps/core/pictures/colour.py",
        '_transform(icc_profile, "CMYK") if icc_profile else None',
        "None",
        f"{_DECODING}::test_cmyk_is_converted_by_its_own_profile",
    ),
    Mutant(
        "transparency that is there is forgotten",
        _FILE,
        "if opacity is None or opacity.min() == 255:",
        "if True:",
        f"{_IMAGES}::test_alpha_that_is_there_is_respected",
    ),
    Mutant(
        "an empty alpha channel of a BMP makes it vanish",
        _FILE,
        "if header.format is ImageFormat.BMP and opacity.max() == 0:",
        "if False:",
        f"{_DECODING}::test_bmp_alpha_is_kept_unless_all_of_it_is_zero",
    ),
    Mutant(
        "16 bits are cut to 8",
        _FILE,
        "grey[rows] = (pixels.astype(np.uint32) + 128) // 257",
        "grey[rows] = np.clip(pixels, 0, 255)",
        f"{_DECODING}::test_sixteen_bit_grey_keeps_its_whole_scale",
    ),
    Mutant(
        "a transparent colour of few bits is not found",
        _FILE,
        "clear = clear * 255 // (2 ** _png_depth(data) - 1)",
        "clear = int(clear)",
        f"{_DECODING}::test_png_transparency_of_every_kind",
    ),
    Mutant(
        "half a photo is paid for",
        "apps/core/api/raw.py",
        "check_whole(body.file, header)",
        "pass",
        "tests/payments/test_challenge.py::test_nobody_is_asked_to_pay_for_a_bad_file",
    ),
    Mutant(
        "half a photo is a task",
        "apps/core/api/submitted.py",
        "check_whole(cast(BinaryIO, upload.file), upload.header)",
        "pass",
        "tests/contract/test_watermark_tasks.py::test_smear_is_checked_before_the_answer "
        "tests/contract/test_watermark_tasks.py::test_wrong_parameters_are_a_1000_and_cost_nothing",
    ),
    Mutant(
        "a damaged chunk passes",
        "apps/core/pictures/wholeness.py",
        'raise HeaderError("a chunk is damaged")',
        "pass",
        f"{_WHOLE}::test_a_damaged_file_that_is_refused_before_payment_would_not_decode",
    ),
    Mutant(
        "half the rows of a PNG pass",
        "apps/core/pictures/wholeness.py",
        'raise HeaderError("the pixels end early")',
        "pass",
        f"{_WHOLE}::test_a_png_with_too_few_rows_is_cut_although_it_has_its_end",
    ),
    Mutant(
        "half a WebP passes",
        "apps/core/pictures/wholeness.py",
        "if size_bytes < end:",
        "if False:",
        f"{_WHOLE}::test_a_cut_file_is_refused_by_both_or_by_neither",
    ),
    Mutant(
        "a mask names the photo's author",
        "apps/core/pictures/imprint.py",
        "return Imprint(self.density_xy)",
        "return self",
        "tests/core/test_imprint.py::test_masks_keep_their_resolution_alone",
    ),
    Mutant(
        "every format is taken everywhere",
        "apps/core/pictures/inspection.py",
        "if found in limits.formats:",
        "if found:",
        "tests/core/test_inspection.py::test_a_format_outside_the_operations_list_is_refused_by_name",
    ),
    Mutant(
        "decoders see all that stands in a JPEG",
        "apps/core/pictures/stripping.py",
        "is_metadata = jpeg.APP0 < marker <= jpeg.APP15 or marker == jpeg.COM",
        "is_metadata = False",
        f"{_DECODING}::test_decoders_see_no_metadata",
    ),
    Mutant(
        "a cut-out takes the background along under alpha 0",
        "ml/picture/compositing.py",
        "seen = cv2.copyTo(image[rows], alpha[rows])",
        "seen = image[rows]",
        f"{_COMPOSITING}::test_cut_out_takes_nothing_of_the_background_along",
    ),
    Mutant(
        "soft edges keep the background's colour",
        "ml/picture/foreground.py",
        "    if not tiles:\n        return image",
        "    if True:\n        return image",
        f"{_COMPOSITING}::test_edge_takes_the_subjects_colour_not_the_backgrounds",
    ),
    Mutant(
        "a mask is 255 from just above nothing",
        "ml/picture/compositing.py",
        "cv2.threshold(alpha, MASK_FROM_ALPHA - 1, 255, cv2.THRESH_BINARY)",
        "cv2.threshold(alpha, 1, 255, cv2.THRESH_BINARY)",
        f"{_COMPOSITING}::test_binary_mask_knows_two_values",
    ),
    Mutant(
        "a white background is not quite white",
        "apps/core/pictures/colour.py",
        "WHITE = (255, 255, 255)",
        "WHITE = (254, 255, 255)",
        "tests/contract/test_remove_background.py::test_white_background_is_pure_white",
    ),
    Mutant(
        "an empty result shows what little there was",
        "apps/background/runner.py",
        "np.zeros_like(result.alpha) if result.is_empty else result.alpha",
        "np.full_like(result.alpha, 9) if result.is_empty else result.alpha",
        "tests/contract/test_remove_background.py::test_nothing_found_is_free_and_fully_transparent",
    ),
    Mutant(
        "an animation is taken for a still",
        "apps/core/work/execution.py",
        "[WarningCode.FIRST_FRAME_ONLY] if self._is_animated else []",
        "[]",
        "tests/contract/test_remove_background.py::test_animated_image_gives_its_first_frame_and_says_so",
    ),
    Mutant(
        "watermarks: pixels outside the mask change",
        "apps/watermark/runner.py",
        "where=(removal.mask[box] > 0)[..., None])",
        "where=True)",
        "tests/contract/test_watermark.py::test_colours_between_two_strokes_are_the_files_own_too",
    ),
    Mutant(
        "watermarks: a clean picture is charged",
        "apps/watermark/runner.py",
        "chargeable=removal.detected,",
        "chargeable=True,",
        "tests/contract/test_watermark.py::test_nothing_found_is_the_same_image_with_a_warning_and_free",
    ),
    Mutant(
        "strokes: what is nearly see-through counts",
        "ml/watermark/smear.py",
        "STROKE_FROM_ALPHA = 26",
        "STROKE_FROM_ALPHA = 1",
        f"{_SMEAR}::test_less_than_a_tenth_and_pure_black_or_white_are_no_strokes",
    ),
    Mutant(
        "strokes: JPEG's noise counts",
        "ml/watermark/smear.py",
        "TOLERANCE = 32\n",
        "TOLERANCE = 3\n",
        f"{_SMEAR}::test_jpeg_noise_is_no_stroke",
    ),
    Mutant(
        "images: a deep PNG of 800 MB of pixels is taken",
        "apps/core/pictures/inspection.py",
        "if unpacked_bytes > MAX_UNPACKED_BYTES:",
        "if False:",
        "tests/core/test_inspection.py::test_deep_png_that_takes_long_to_unfilter_is_refused_by_its_header",
    ),
)
