"""DICOM files to images: real files, and small ones written here with every grey-scale tag."""

from pathlib import Path

import numpy as np
import pytest
from made_dicom import linear, write
from pydicom import Dataset, Sequence, dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from gazekit.errors import DataError
from gazekit.reading.dicom.header import read_image_header
from gazekit.reading.dicom.pixels import read_dicom
from gazekit.reading.image import read_image
from gazekit.reading.image_size import image_size

REAL = Path(__file__).parents[3] / "shared" / "data" / "dicom"
real = pytest.mark.skipif(not REAL.exists(), reason="the real files are not here")


@pytest.fixture
def ramp():
    return np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


def linear_exact(x, centre, width):
    return min(max((x - centre) / width + 0.5, 0.0), 1.0)


def sigmoid(x, centre, width):
    return 1 / (1 + np.exp(-4 * (x - centre) / width))


@pytest.mark.parametrize(
    ("function", "oracle"),
    [(None, linear), ("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)],
)
@pytest.mark.parametrize("rescale", [(1, 0), (2, -100)])
def test_window_is_the_standards_formula_on_modality_values(path, ramp, function, oracle, rescale):
    tags = {"VOILUTFunction": function} if function else {}
    slope, intercept = rescale
    write(
        path, ramp, WindowCenter=900, WindowWidth=700, RescaleSlope=slope, RescaleIntercept=intercept, **tags
    )
    pixels = read_dicom(path).pixels
    expected = [oracle(slope * float(x) + intercept, 900, 700) for x in ramp.ravel()]
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels.ravel(), expected, atol=1e-6)


def test_the_first_of_several_windows_is_used(path, ramp):
    one = read_dicom(write(path, ramp, WindowCenter=900, WindowWidth=700)).pixels
    several = read_dicom(write(path, ramp, WindowCenter=[900, 2000], WindowWidth=[700, 50])).pixels
    np.testing.assert_array_equal(one, several)


def test_a_negative_rescale_slope_inverts_before_the_window(path, ramp):
    write(path, ramp, WindowCenter=-900, WindowWidth=700, RescaleSlope=-1, RescaleIntercept=0)
    expected = [linear(-float(x), -900, 700) for x in ramp.ravel()]
    np.testing.assert_allclose(read_dicom(path).pixels.ravel(), expected, atol=1e-6)


def test_voi_lut_sequence_goes_before_the_window(path, ramp):
    item = Dataset()
    curve = (np.linspace(0, 1, 256) ** 2 * 1023).astype(np.uint16)
    item.add_new("LUTDescriptor", "US", [256, 100, 10])
    item.add_new("LUTData", "US", curve.tolist())
    write(path, ramp, VOILUTSequence=Sequence([item]), WindowCenter=2000, WindowWidth=10)
    expected = [curve[min(max(int(x) - 100, 0), 255)] / 1023 for x in ramp.ravel()]
    np.testing.assert_allclose(read_dicom(path).pixels.ravel(), expected, atol=1e-6)


def of(**tags):
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return Sequence([item])


@pytest.mark.parametrize("where", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_an_enhanced_object_says_window_spacing_and_side_in_its_functional_groups(path, ramp, where):
    groups = of(
        FrameVOILUTSequence=of(WindowCenter=900, WindowWidth=700),
        PixelValueTransformationSequence=of(RescaleSlope=2, RescaleIntercept=-100, RescaleType="US"),
        PixelMeasuresSequence=of(PixelSpacing=[0.1, 0.2]),
        FrameAnatomySequence=of(FrameLaterality="R"),
    )
    write(path, ramp, NumberOfFrames=1, **{where: groups})
    image = read_dicom(path)
    expected = [linear(2 * float(x) - 100, 900, 700) for x in ramp.ravel()]
    np.testing.assert_allclose(image.pixels.ravel(), expected, atol=1e-6)
    assert (image.laterality, image.pixel_spacing_mm) == ("R", (0.1, 0.2))
    assert read_image_header(path).side == "R"
    write(path, ramp, WindowCenter=2000, WindowWidth=50, ImageLaterality="L", **{where: groups})
    assert (read_dicom(path).laterality, read_image_header(path).side) == ("L", "L")


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("vr", ["OW", "US"])
def test_entries_of_eight_bits_come_two_to_a_word_or_one(path, ramp, keyword, packed, vr):
    curve = (np.linspace(0, 1, 4096) ** 2 * 255).astype(np.uint8)
    words = curve.view("<u2") if packed else curve.astype("<u2")
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 8])
    item.add_new("LUTData", vr, words.tobytes() if vr == "OW" else words.tolist())
    pixels = read_dicom(write(path, ramp, **{keyword: Sequence([item])})).pixels
    np.testing.assert_allclose(pixels.ravel(), curve / 255, atol=1e-6)


@pytest.mark.parametrize("vr", ["SS", "US"])
def test_a_table_for_signed_values_may_state_its_first_value_unsigned(path, ramp, vr):
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [4096, -2048 if vr == "SS" else 2**16 - 2048, 12])
    item.add_new("LUTData", "US", list(range(4096)))
    write(path, ramp.astype(np.int16) - 2048, VOILUTSequence=Sequence([item]))
    np.testing.assert_allclose(read_dicom(path).pixels, ramp / 4095, atol=1e-6)


@pytest.mark.parametrize("vr", ["SS", "US"])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_of_values_above_32767_may_state_its_first_value_signed(path, ramp, vr, keyword):
    """An implicit file of signed pixels is read so, though a slope or another table makes larger values of them."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [4096, 40000 - (2**16 if vr == "SS" else 0), 12])
    item.add_new("LUTData", "US", list(range(4096)))
    if keyword == "VOILUTSequence":
        scaled = {"RescaleSlope": 1, "RescaleIntercept": 42048}
        write(path, ramp.astype(np.int16) - 2048, VOILUTSequence=Sequence([item]), **scaled)
    else:
        write(path, ramp + 40000, ModalityLUTSequence=Sequence([item]), BitsStored=16, HighBit=15)
    np.testing.assert_allclose(read_dicom(path).pixels, ramp / 4095, atol=1e-6)


def table(entries, first, count=None):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) if count is None else count, first, 16])
    item.add_new("LUTData", "OW", np.array(entries, dtype="<u2").tobytes())
    return Sequence([item])


def test_a_modality_table_gives_the_values_that_a_window_is_of(path):
    """The image holds a part of the table's values: 0 and 65535 become 0.25 and 1 of the window, by hand."""
    entries = [100, 0, 2000, 3000, 65535]
    stored = np.array([[11, 12], [13, 14]], dtype=np.uint16)
    window = {"WindowCenter": 1000, "WindowWidth": 4000, "VOILUTFunction": "LINEAR_EXACT"}
    found = read_dicom(write(path, stored, ModalityLUTSequence=table(entries, 10), **window)).pixels
    np.testing.assert_allclose(found, [[0.25, 0.75], [1, 1]], atol=1e-6)


def test_a_count_of_0_means_65536_entries(path):
    stored = np.array([[0, 1], [40000, 65535]], dtype=np.uint16)
    tags = {"BitsStored": 16, "HighBit": 15, "VOILUTSequence": table(list(range(2**16)), 0, count=0)}
    np.testing.assert_allclose(read_dicom(write(path, stored, **tags)).pixels, stored / 65535, atol=1e-6)


def test_a_table_with_fewer_entries_than_it_states_is_one_clear_line(path, ramp):
    write(path, ramp % 8, VOILUTSequence=table(list(range(100)), 0, count=200))
    with pytest.raises(DataError, match=r"its LUTs .* cannot be applied .*it is damaged or truncated"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("first", "count", "values", "meant"),
    [
        (5000, 100, (0, 4000), 5000),  # above all values, and yet no negative number
        (32768, 100, (0, 32767), -32768),  # the least that may be one
        (40000, 100, (39990, 40200), 40000),  # among values above 32767
        (65436, 100, (-200, 50), -100),
        (0, 100, (500, 600), 0),  # below all values
        (-150, 100, (-200, 50), -150),
    ],
)
def test_where_a_table_begins(path, first, count, values, meant):
    """Values beyond its ends take the first or the last entry. Source: DICOM PS3.3 C.11.2.1.1."""
    least, greatest = values
    stored = np.arange(least, greatest + 1)[None].astype(np.int16 if least < 0 else np.uint16)
    entries = list(range(1000, 1000 + count))
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [count, first, 16])
    item.add_new("LUTData", "US", entries)
    write(path, stored, VOILUTSequence=Sequence([item]), BitsStored=16, HighBit=15)
    expected = [
        (entries[min(max(int(v) - meant, 0), count - 1)] - 1000) / (count - 1) for v in stored.ravel()
    ]
    np.testing.assert_allclose(read_dicom(path).pixels.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_table_of_a_big_endian_file(path, ramp, bits):
    """A word of two entries of 8 bits has the first in its lower byte, which comes second there."""
    entries = np.arange(100, 356 if bits == 16 else 256, dtype=np.uint16)
    words = entries if bits == 16 else entries[::2] | entries[1::2] << 8
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), 0, bits])
    item.add_new("LUTData", "OW", words.astype(">u2").tobytes())
    dataset = dcmread(write(path, ramp, VOILUTSequence=Sequence([item])))
    dataset.PixelData = ramp.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
    expected = np.minimum(ramp / (len(entries) - 1), 1)
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=1e-6)


def test_the_byte_that_fills_a_word_is_no_entry(path, ramp):
    """Of 155 entries of 8 bits, in 78 words: the last byte is 0, and the least entry is 100."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [155, 0, 8])
    item.add_new("LUTData", "OW", bytes(range(100, 255)) + b"\0")
    found = read_dicom(write(path, ramp, VOILUTSequence=Sequence([item]))).pixels
    np.testing.assert_allclose(found, np.minimum(ramp / 154, 1), atol=1e-6)


def test_the_range_of_signed_values_may_take_all_16_bits(path):
    stored = np.array([[-32768, 0, 20000]], dtype=np.int16)
    found = read_dicom(write(path, stored, BitsStored=16, HighBit=15)).pixels
    np.testing.assert_allclose(found, [[0, 32768 / 52768, 1]], atol=1e-6)


def test_an_image_of_padding_alone_is_black(path):
    found = read_dicom(write(path, np.full((8, 8), 7, dtype=np.uint16), PixelPaddingValue=7))
    assert not found.pixels.any()


def test_a_slope_too_steep_for_some_values_is_one_clear_line(path, ramp):
    """The least value stays finite."""
    with pytest.raises(DataError, match="slope, intercept or window is not finite"):
        read_dicom(write(path, ramp, RescaleSlope=1e306, RescaleIntercept=0, WindowCenter=9, WindowWidth=5))


def test_values_far_beyond_a_table_take_its_last_entry(path, ramp):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "US", list(range(4096)))
    write(path, ramp, VOILUTSequence=Sequence([item]), RescaleSlope=20, RescaleIntercept=0)
    np.testing.assert_allclose(read_dicom(path).pixels, np.minimum(ramp * 20.0, 4095) / 4095, atol=1e-6)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 900, "WindowWidth": 700}])
def test_monochrome1_is_the_inverse_of_monochrome2(path, ramp, window):
    plain = read_dicom(write(path, ramp, **window)).pixels
    inverse = read_dicom(write(path, ramp, PhotometricInterpretation="MONOCHROME1", **window)).pixels
    np.testing.assert_allclose(inverse, 1 - plain, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_background_and_no_part_of_the_range(path, photometric):
    stored = np.array([[-2000, -2000, 100], [200, 300, 400]], dtype=np.int16)
    write(path, stored, PixelPaddingValue=-2000, PhotometricInterpretation=photometric)
    rising = np.array([0, 1 / 3, 2 / 3, 1])
    grey = rising if photometric == "MONOCHROME2" else 1 - rising
    np.testing.assert_allclose(read_dicom(path).pixels.ravel(), [0, 0, *grey], atol=1e-6)


def test_the_range_is_that_of_every_row_of_a_tall_image(path):
    """Its least value is in the first row alone, its greatest in the last, and the padding beyond both."""
    stored = np.full((200, 3), 10, dtype=np.int16)
    stored[0], stored[70, 1], stored[-1, 2] = -40, 900, 160
    write(path, stored, PixelPaddingValue=900)
    expected = np.where(stored == 900, 0, (stored + 40) / 200)
    np.testing.assert_allclose(read_dicom(path).pixels, expected, atol=1e-6)


def test_padding_range_covers_both_ends(path):
    stored = np.array([[0, 5, 10, 100, 200]], dtype=np.uint16)
    write(path, stored, PixelPaddingValue=10, PixelPaddingRangeLimit=0)
    np.testing.assert_allclose(read_dicom(path).pixels, [[0, 0, 0, 0, 1]], atol=1e-6)


def test_a_constant_image_is_black_and_finite(path):
    assert (read_dicom(write(path, np.full((4, 5), 7, dtype=np.uint16))).pixels == 0).all()


def test_tags_that_preparation_needs(path, ramp):
    image = read_dicom(write(path, ramp, ImageLaterality="R", ImagerPixelSpacing=[0.07, 0.08]))
    assert (image.laterality, image.pixel_spacing_mm) == ("R", (0.07, 0.08))
    plain = read_dicom(write(path, ramp))
    assert (plain.laterality, plain.pixel_spacing_mm) == (None, None)
    both = {"PixelSpacing": [0.06, 0.05], "Laterality": "L"}
    found = read_dicom(write(path, ramp, ImageLaterality="R", ImagerPixelSpacing=[0.07, 0.08], **both))
    assert (found.laterality, found.pixel_spacing_mm) == ("R", (0.06, 0.05))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"drop": ["PixelData"]}, "no pixel data"),
        ({"drop": ["Rows"]}, "lacks Rows"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"WindowCenter": 10, "WindowWidth": 9, "VOILUTFunction": "CUBIC"}, "VOILUTFunction is CUBIC"),
        ({"BitsAllocated": 32}, "32 bits per pixel; expected 1, 8 or 16"),
        ({"BitsStored": 17}, "BitsStored is 17; expected 1 to 16"),
        ({"Rows": 1000}, "truncated: 8192 of 128000 bytes"),
    ],
)
def test_what_is_not_one_grey_image_is_one_clear_line(path, ramp, tags, expected):
    write(path, ramp, **tags)
    with pytest.raises(DataError, match=expected) as caught:
        read_dicom(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Secret" not in str(caught.value)
    assert "1950" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no such image file"),
        (b"", "the file is empty"),
        (b"hello" * 99, "not a DICOM"),
        (bytes(128) + b"DICM", "no pixel data"),
    ],
)
def test_other_files_are_one_clear_line(path, content, expected):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=expected):
        read_dicom(path)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_anywhere_is_an_error(path, ramp, share):
    content = write(path, ramp).read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError):
        read_dicom(path)


@real
@pytest.mark.parametrize(
    ("compressed", "plain"),
    [
        ("693_J2KR.dcm", "693_UNCR.dcm"),
        ("MR2_J2KR.dcm", "MR2_UNCR.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    ],
)
def test_lossless_syntaxes_give_the_pixels_of_the_plain_file(compressed, plain):
    one, other = read_dicom(REAL / compressed).pixels, read_dicom(REAL / plain).pixels
    np.testing.assert_array_equal(one, other)
    assert one.std() > 0.01


@real
def test_lossy_jpeg2000_is_close_to_lossless():
    lossy, lossless = read_dicom(REAL / "RG3_J2KI.dcm").pixels, read_dicom(REAL / "RG3_J2KR.dcm").pixels
    assert np.abs(lossy - lossless).mean() < 0.01


@real
def test_a_real_monochrome1_radiograph_has_its_rays_dark():
    """RG3 is MONOCHROME1 with a linear window over 10 bits: grey is the inverse of the stored value."""
    import pydicom

    dataset = pydicom.dcmread(REAL / "RG3_J2KR.dcm")
    stored = dataset.pixel_array.astype(float)
    centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    expected = 1 - np.clip((stored - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    image = read_dicom(REAL / "RG3_J2KR.dcm")
    np.testing.assert_allclose(image.pixels, expected, atol=1e-5)
    assert image.laterality == "R"


@real
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MR_truncated.dcm", "truncated: 8130 of 8192 bytes"),
        ("SC_rgb_jpeg_gdcm.dcm", "colour"),
    ],
)
def test_real_oddities_are_one_clear_line(name, expected):
    with pytest.raises(DataError, match=expected):
        read_dicom(REAL / name)


EMPTY = {
    **{"VOILUTFunction": "", "RescaleSlope": "", "RescaleIntercept": "", "PixelPaddingValue": None},
    **{"PixelPaddingRangeLimit": None, "NumberOfFrames": "", "HighBit": None, "PixelSpacing": []},
    **{"ImagerPixelSpacing": [], "ImageLaterality": "", "ViewPosition": "", "Modality": ""},
    **{"VOILUTSequence": [], "ModalityLUTSequence": [Dataset()], "ViewCodeSequence": [Dataset()]},
    **{"WindowCenter": "", "WindowWidth": "", "WindowCenterWidthExplanation": ""},
}


def test_blanks_around_a_word_say_nothing(path, ramp):
    """Padded words are shown and mirrored as others, and the looks into header and image give one side."""
    words = {"PhotometricInterpretation": " MONOCHROME1", "ImageLaterality": " L", "Laterality": "R"}
    window = {"WindowCenter": 900, "WindowWidth": 700, "VOILUTFunction": " SIGMOID"}
    found = read_dicom(write(path, ramp, **words, **window))
    assert found.laterality == read_image_header(path).side == "L"
    expected = [1 - sigmoid(float(x), 900, 700) for x in ramp.ravel()]
    np.testing.assert_allclose(found.pixels.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 900, "WindowWidth": 700}])
def test_an_empty_attribute_is_an_absent_one(path, ramp, name, window):
    window = {} if name in ("WindowCenter", "WindowWidth") else window
    absent = read_dicom(write(path, ramp, **window)).pixels
    value = EMPTY[name]
    tags = window | {name: Sequence(value) if name.endswith("Sequence") else value}
    np.testing.assert_array_equal(read_dicom(write(path, ramp, **tags)).pixels, absent)


def test_tables_without_entries_are_absent(path, ramp):
    window = {"WindowCenter": 900, "WindowWidth": 700}
    absent = read_dicom(write(path, ramp, **window)).pixels
    bare, half = Dataset(), Dataset()
    bare.add_new("LUTExplanation", "LO", "NORMAL")
    half.add_new("LUTDescriptor", "US", [16, 0, 16])
    half.add_new("LUTData", "US", None)
    for name in ("VOILUTSequence", "ModalityLUTSequence"):
        write(path, ramp, **window, **{name: Sequence([bare, half])})
        np.testing.assert_array_equal(read_dicom(path).pixels, absent)


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_a_window_without_width_gives_way_to_the_next_or_to_the_range(path, ramp, width):
    alone = read_dicom(write(path, ramp, WindowCenter=10, WindowWidth=width))
    np.testing.assert_allclose(alone.pixels, ramp / 4095, atol=1e-6)
    (said,) = alone.warnings
    assert said.startswith(
        f"has a window of width {float(width)}, which is skipped: the range of the image is used;"
    )
    assert read_dicom(path, "range").warnings == read_dicom(path, (10.0, 5.0)).warnings == ()
    first = read_dicom(write(path, ramp, WindowCenter=[10, 900], WindowWidth=[width, 700]))
    expected = [linear(float(x), 900, 700) for x in ramp.ravel()]
    np.testing.assert_allclose(first.pixels.ravel(), expected, atol=1e-6)
    assert ": window 2 of the file is used;" in first.warnings[0]
    write(path, ramp, WindowCenter=[900, 10], WindowWidth=[700, width])
    assert read_dicom(path).warnings == ()  # the second is not asked for


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("word", ["linear", "Linear ", "linear_exact", "sigmoid"])
@pytest.mark.parametrize("width", [0, 0.5, 700])
def test_a_function_in_small_letters_is_that_in_capitals(path, ramp, word, width):
    window = {"WindowCenter": 900, "WindowWidth": width}
    expected = read_dicom(write(path, ramp, **window, VOILUTFunction=word.strip().upper())).pixels
    np.testing.assert_array_equal(
        read_dicom(write(path, ramp, **window, VOILUTFunction=word)).pixels, expected
    )


def test_a_window_of_width_1_counts(path, ramp):
    """The narrowest that the function LINEAR allows: black below, white from the centre on."""
    found = read_dicom(write(path, ramp, WindowCenter=900, WindowWidth=1)).pixels
    np.testing.assert_array_equal(found, ramp >= 900)


def test_a_narrow_window_counts_where_its_function_allows_it(path, ramp):
    write(path, ramp, WindowCenter=900, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT")
    expected = np.where(ramp == 900, 0.5, ramp > 900)
    np.testing.assert_array_equal(read_dicom(path).pixels, expected)
    np.testing.assert_array_equal(read_dicom(write(path, ramp), (900.0, 0.5)).pixels, expected)


@pytest.mark.parametrize(
    ("tags", "slope", "intercept"),
    [({"RescaleIntercept": -1000}, 1, -1000), ({"RescaleSlope": 2}, 2, 0), ({"RescaleSlope": 0}, 1, 0)],
)
def test_half_a_rescale_is_completed(path, ramp, tags, slope, intercept):
    write(path, ramp, WindowCenter=900, WindowWidth=700, **tags)
    expected = [linear(slope * float(x) + intercept, 900, 700) for x in ramp.ravel()]
    np.testing.assert_allclose(read_dicom(path).pixels.ravel(), expected, atol=1e-6)


def test_a_slope_that_is_no_number_is_one_clear_line(path, ramp):
    content = write(path, ramp, RescaleSlope=123).read_bytes()
    assert content.count(b"123.0 ") == 1
    path.write_bytes(content.replace(b"123.0 ", b"nan   "))
    with pytest.raises(DataError, match="slope, intercept or window is not finite"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("written", "read"),
    [(b"1e999\\1e99", None), (b"0.1\\      ", None), (b"-1.0\\0.250", None), (b"0.125\\0.25", (0.125, 0.25))],
)
def test_a_spacing_that_says_nothing_leaves_the_image_as_it_is(path, ramp, written, read):
    content = write(path, ramp, PixelSpacing=[0.125, 0.375]).read_bytes()
    old = b"0.125\\0.375"
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, written.ljust(len(old))))
    assert read_dicom(path).pixel_spacing_mm == read


@pytest.mark.parametrize("useless", [None, [0, 0], [-0.125, 0.25], ["", ""], [0.125]])
def test_the_spacing_of_the_imager_counts_where_that_of_the_pixels_says_nothing(path, ramp, useless):
    imager = {"ImagerPixelSpacing": [0.07, 0.05]}
    own = {} if useless is None else {"PixelSpacing": useless}
    assert read_dicom(write(path, ramp, **own, **imager)).pixel_spacing_mm == (0.07, 0.05)
    assert read_dicom(write(path, ramp, PixelSpacing=[0.1, 0.2], **imager)).pixel_spacing_mm == (0.1, 0.2)


def test_several_transfer_syntaxes_are_one_clear_line(path, ramp):
    content = write(path, ramp).read_bytes()
    old = ExplicitVRLittleEndian.encode()
    path.write_bytes(content.replace(old, old[:9] + b"\\" + old[10:], 1))
    with pytest.raises(DataError, match="its TransferSyntaxUID cannot be read"):
        read_dicom(path)


@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.2", "1.2.3.4.5", "1.2.840.10008.1.2.4.52"])
def test_a_private_or_retired_transfer_syntax_has_no_decoder(path, ramp, syntax):
    write(path, ramp)
    content = path.read_bytes()
    old = ExplicitVRLittleEndian.encode()
    at = content.index(old)
    old += b"\0" * (len(old) % 2)
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    length = int.from_bytes(content[140:144], "little") + len(new) - len(old)
    content = content[: at - 2] + len(new).to_bytes(2, "little") + new + content[at + len(old) :]
    path.write_bytes(content[:140] + length.to_bytes(4, "little") + content[144:])
    with pytest.raises(DataError, match="no decoder for its transfer syntax") as caught:
        read_dicom(path)
    assert "damaged" not in str(caught.value)


VALUES = {  # type, least and greatest of the stored values; mean grey
    "693_J2KI.dcm": ("int16", -2971, 2836, 0.1738944),
    "693_J2KR.dcm": ("int16", -2000, 2492, 0.1574388),
    "693_UNCR.dcm": ("int16", -2000, 2492, 0.1574388),
    "CT_small.dcm": ("int16", 128, 2191, 0.3766004),
    "JLSL_16_15_1_1F.dcm": ("int16", -16384, 16383, 0.3766099),
    "JPEG-LL.dcm": ("int16", 0, 278, 0.0493503),
    "JPEG2000.dcm": ("int16", -30, 245, 0.1580297),
    "JPGLosslessP14SV1_1s_1f_8b.dcm": ("uint8", 0, 255, 0.0681490),
    "MR2_J2KR.dcm": ("uint16", 0, 595, 0.1417239),
    "MR2_UNCR.dcm": ("uint16", 0, 595, 0.1417239),
    "MR_small.dcm": ("int16", 127, 2145, 0.4433779),
    "MR_small_RLE.dcm": ("int16", 127, 2145, 0.4433779),
    "MR_small_bigendian.dcm": ("int16", 127, 2145, 0.4433779),
    "MR_small_implicit.dcm": ("int16", 127, 2145, 0.4433779),
    "MR_small_jp2klossless.dcm": ("int16", 127, 2145, 0.4433779),
    "MR_small_jpeg_ls_lossless.dcm": ("int16", 127, 2145, 0.4433779),
    "RG3_J2KI.dcm": ("uint16", 0, 1023, 0.6960791),
    "RG3_J2KR.dcm": ("uint16", 0, 1023, 0.6960786),
    "no_meta.dcm": ("int16", 128, 2191, 0.3766004),  # CT_small.dcm without its file meta
}
REASONS = {
    "JPEG-lossy.dcm": "no decoder for 12-bit lossy JPEG",
    "JPGExtended.dcm": "no decoder for 12-bit lossy JPEG",
    "MR_truncated.dcm": "truncated: 8130 of 8192 bytes",
    "SC_rgb_jpeg_gdcm.dcm": "in colour",
}


@real
def test_every_real_file_is_read_right_or_refused_for_its_reason():
    assert {path.name for path in REAL.glob("*.dcm")} == {*VALUES, *REASONS}
    for name, (dtype, least, most, grey) in VALUES.items():
        image = read_dicom(REAL / name)
        found = image.stored.dtype.name, int(image.stored.min()), int(image.stored.max())
        assert (name, *found, image.warnings) == (name, dtype, least, most, ())
        assert image.pixels.mean(dtype=np.float64) == pytest.approx(grey, abs=2e-6), name
        assert image_size(REAL / name) == image.pixels.shape
    for name, reason in REASONS.items():
        with pytest.raises(DataError, match=reason):
            read_dicom(REAL / name)


@real
def test_a_data_set_without_preamble_and_meta_is_the_image_it_was():
    np.testing.assert_array_equal(
        read_image(REAL / "no_meta.dcm").stored, read_image(REAL / "CT_small.dcm").stored
    )
