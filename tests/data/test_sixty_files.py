"""Files as people have them, in one folder: each is right by a number, or left out with its reason; none is silent."""

import io
import struct

import numpy as np
import pytest
from clips import write_clip, write_sound
from PIL import Image

from mi_coding import data

av = pytest.importorskip("av")

# name → (mode, format of Pillow, its options)
IMAGES = {
    "one_bit.png": ("1", "PNG", {}),
    "grey.png": ("L", "PNG", {}),
    "grey_alpha.png": ("LA", "PNG", {}),
    "palette.png": ("P", "PNG", {}),
    "colour.png": ("RGB", "PNG", {}),
    "colour_alpha.png": ("RGBA", "PNG", {}),
    "deep.png": ("I;16", "PNG", {}),
    "grey.jpg": ("L", "JPEG", {}),
    "colour.jpg": ("RGB", "JPEG", {"quality": 90}),
    "progressive.jpeg": ("RGB", "JPEG", {"progressive": True}),
    "cmyk.jpg": ("CMYK", "JPEG", {}),
    "file_interchange.jfif": ("RGB", "JPEG", {}),
    "old.jpe": ("RGB", "JPEG", {}),
    "lossy.webp": ("RGB", "WEBP", {}),
    "lossless_alpha.webp": ("RGBA", "WEBP", {"lossless": True}),
    "still.gif": ("P", "GIF", {}),
    "animated.gif": ("P", "GIF", {"save_all": True, "append_images": [Image.new("P", (24, 16), 3)]}),
    "grey.bmp": ("L", "BMP", {}),
    "colour.bmp": ("RGB", "BMP", {}),
    "palette.bmp": ("P", "BMP", {}),
    "grey.tif": ("L", "TIFF", {}),
    "colour.tiff": ("RGB", "TIFF", {}),
    "lzw.tif": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "cmyk.tif": ("CMYK", "TIFF", {}),
    "alpha.tif": ("RGBA", "TIFF", {}),
    "deep.tif": ("I;16", "TIFF", {}),
    "colour.jp2": ("RGB", "JPEG2000", {}),
    "colour.avif": ("RGB", "AVIF", {}),
    "colour.ppm": ("RGB", "PPM", {}),
    "grey.pgm": ("L", "PPM", {}),
    "colour.tga": ("RGB", "TGA", {}),
    "colour.pcx": ("RGB", "PCX", {}),
    "colour.sgi": ("RGB", "SGI", {}),
    "colour.qoi": ("RGB", "QOI", {}),
    "no_suffix": ("RGB", "PNG", {}),
    "wrong_suffix.jpg": ("RGB", "PNG", {}),
    "as_text.txt": ("RGB", "PNG", {}),
} | {f"turned_{turn}.jpg": ("RGB", "JPEG", {"quality": 95, "exif": turn}) for turn in range(2, 9)}
DAMAGED = ("truncated.png", "truncated.jpg", "empty.png", "letter.jpg")  # found by their suffix, and cannot be decoded
OTHERS = {"notes.md": "not an image, .md", "weights.bin": "not an image, .bin", ".DS_Store": "hidden or of the system"}
TURNS = {2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}  # where a corner is then shown


def level(name):
    """What the middle of an image must show: another grey for each."""
    return 255 if name == "one_bit.png" else 60 + 3 * list(IMAGES).index(name)


def write_image(path, mode, form, options):
    """24 × 16 pixels of one grey with a bright corner, where a viewer shows it in the upper left of an unturned one."""
    pixels = np.full((16, 24), level(path.name), np.uint8)
    pixels[:5, :5] = 255
    image = Image.fromarray(pixels)
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
    elif mode == "P":
        image.putpalette([v for v in range(256) for _ in range(3)])
    else:
        image = image.convert(mode)
    if "exif" in options:
        exif = Image.Exif()
        exif[0x0112] = options["exif"]
        options = options | {"exif": exif}
    image.save(path, form, **options)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Name → uint8[16, 16, 3] as read, the account, and what was warned of."""
    folder, warned = tmp_path_factory.mktemp("pictures"), []
    for name, spec in IMAGES.items():
        write_image(folder / name, *spec)
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(whole, "PNG")
    (folder / "truncated.png").write_bytes(whole.getvalue()[:5000])
    (folder / "truncated.jpg").write_bytes((folder / "colour.jpg").read_bytes()[:200])
    (folder / "empty.png").touch()
    (folder / "letter.jpg").write_text("Dear reader")
    for name in OTHERS:
        (folder / name).write_bytes(struct.pack("<100d", *range(100)))
    dataset = data.load(f"folder:{folder}", layout="flat", image_size=16, channels=3, warn=warned.append)
    read = {name: image for split in dataset.splits for name, image in zip(split.names, split.examples, strict=True)}
    return read, dataset.account, warned


@pytest.mark.parametrize("name", IMAGES)
def test_the_level_of_every_image_is_the_one_that_was_written(pictures, name):
    image = pictures[0][name]
    assert image.shape == (16, 16, 3)
    assert abs(float(image[7:9, 7:9].mean()) - level(name)) < 4


@pytest.mark.parametrize(("turn", "corner"), TURNS.items())
def test_turned_images_show_their_corner_where_a_viewer_shows_it(pictures, turn, corner):
    image = pictures[0][f"turned_{turn}.jpg"].astype(float).mean(axis=2)
    # The middle square of 24 × 16 pixels shows one column of the corner, or one row of it where it lies on its side.
    found = np.array([[image[:4, 0].mean(), image[:4, -1].mean()], [image[-4:, 0].mean(), image[-4:, -1].mean()]])
    if turn >= 5:
        found = np.array([[image[0, :4].mean(), image[0, -4:].mean()], [image[-1, :4].mean(), image[-1, -4:].mean()]])
    assert tuple(np.unravel_index(found.argmax(), (2, 2))) == corner


def test_every_other_file_is_left_out_with_its_reason(pictures):
    read, account, warned = pictures
    assert read.keys() == IMAGES.keys()
    reasons = {reason: left.count for reason, left in account.left_out.items()}
    assert reasons == dict.fromkeys(OTHERS.values(), 1) | {"cannot be decoded": len(DAMAGED)}
    assert account.found == len(IMAGES) + len(DAMAGED) + len(OTHERS)
    assert account.used == len(IMAGES)
    assert any(line.startswith(f"{len(DAMAGED)} of {len(IMAGES) + len(DAMAGED)} images cannot be") for line in warned)


COUNT, STEP = 12, 16
# name → (codec, pixel format, options of the encoder)
FILMS = {
    "h264.mp4": ("libx264", "yuv420p", {}),
    "ten_bits.mp4": ("libx264", "yuv420p10le", {}),
    "chroma_444.mkv": ("libx264", "yuv444p", {}),
    "full_range.mp4": ("libx264", "yuvj420p", {}),
    "h265.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "vp8.webm": ("libvpx", "yuv420p", {"deadline": "realtime"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"deadline": "realtime"}),
    "av1.mp4": ("libsvtav1", "yuv420p", {"preset": "12", "svtav1-params": "lookahead=0"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {}),
    "mpeg1.ts": ("mpeg2video", "yuv420p", {}),
    "motion_jpeg.avi": ("mjpeg", "yuvj420p", {}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}),
    "lossless_grey.mkv": ("ffv1", "gray", {}),
    "lossless_colour.mkv": ("ffv1", "bgr0", {}),
    "png.mov": ("png", "rgb24", {}),
    "raw.avi": ("rawvideo", "yuv420p", {}),
    "windows.wmv": ("wmv2", "yuv420p", {}),
    "flash.flv": ("flv", "yuv420p", {}),
    "animated.gif": ("gif", "gray", {}),
}
UNUSABLE = ("cut.mp4", "sound.mp4", "letter.mkv", "empty.webm")


def write_film(path, codec, form, options):
    """Twelve frames of 64 × 64 pixels, 25 a second; frame n has brightness 40 + 16 n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.bit_rate = form, 4_000_000
        for n in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 + STEP * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=form)))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Name → brightness of its frames as read; the account, and what was warned of."""
    folder, warned, missing = tmp_path_factory.mktemp("films"), [], []
    for name, (codec, form, options) in FILMS.items():
        if codec in av.codecs_available:
            write_film(folder / name, codec, form, options)
        else:
            missing.append(name)
    shown = lambda n: np.full((48, 64, 3), 40 + STEP * n, np.uint8)  # noqa: E731
    for turn in (90, 180, 270):
        write_clip(folder / f"turned_{turn}.mp4", 40 * np.arange(COUNT), turn=turn, pixels=shown)
    (folder / "cut.mp4").write_bytes((folder / "h264.mp4").read_bytes()[:-400])
    write_sound(folder / "sound.mp4")
    (folder / "letter.mkv").write_text("Dear reader")
    (folder / "empty.webm").touch()
    video = data.VideoOptions(cache_dir=str(tmp_path_factory.mktemp("cache")))
    listing = data.list_all(f"video:{folder}/*", image_size=16, channels=3, video=video, warn=warned.append)
    frames, _ = data.take(listing.split, np.arange(data.num_examples(listing.split)))[:2]
    table = listing.split.films
    parts = zip(table.names, table.first, table.count, strict=True)
    read = {name.rpartition("/")[2]: frames[a : a + n].mean(axis=(1, 2, 3)) for name, a, n in parts}
    return read, listing.account, warned, missing


@pytest.mark.parametrize("name", [*FILMS, "turned_90.mp4", "turned_180.mp4", "turned_270.mp4"])
def test_every_frame_of_every_film_has_the_brightness_that_was_written(films, name):
    read, _, _, missing = films
    if name in missing:
        pytest.skip(f"this build of FFmpeg has no encoder for {name}")
    np.testing.assert_allclose(read[name], 40 + STEP * np.arange(COUNT), atol=STEP / 2)


def test_files_that_are_no_films_are_left_out_each_with_its_reason(films):
    read, account, warned, missing = films
    assert len(read) == len(FILMS) + 3 - len(missing)
    assert account.left_out["cannot be decoded"].count == len(UNUSABLE)
    assert account.found == len(read) + len(UNUSABLE)
    (line,) = warned
    assert line.startswith(f"{len(UNUSABLE)} of {account.found} file(s) are left out: ")
    assert "cut.mp4 (invalid data found" in line
