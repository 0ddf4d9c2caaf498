"""Default limits and qualities of pictures and videos."""

MAX_PIXELS = 89_000_000  # the largest picture that is read
MAX_FRAME_PIXELS = 8192 * 4320  # the largest frame of a video that is read: 8K
MAX_SCANS = 100  # of a JPEG that is read; encoders write up to about 20
PICTURE_QUALITY = {"JPEG": 95, "AVIF": 90}  # on a scale to 100; WebP is lossless unless a quality is asked for
VIDEO_QUALITY = 64  # on a scale to 100: H.264 at a rate factor of 18, which is hard to tell from the original


def millions(pixels: int) -> str:
    """A number of pixels in words: 89 million."""
    return f"{pixels / 1e6:.0f} million"
