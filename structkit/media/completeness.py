"""Completeness of a video: what its container promises, compared with what came.

Where frames are missing for certain there is a fact, where they are likely to be, a doubt: both in words.
"""

from collections.abc import Callable
from fractions import Fraction

import av

from structkit.media.account import Account
from structkit.media.containers import Container
from structkit.media.pieces import Chain
from structkit.media.transport import TransportSurvey

ENDS_EARLY = Fraction(1, 2)  # s; a file whose packets end by more before its stated length has lost some
ENDS_SOON = Fraction(1, 5)  # s; the same, but it may be the container that is careless


def hole(survey: TransportSurvey | None) -> str:
    """The fact that a packet has come in parts.

    survey: of a transport stream, which may tell why.
    """
    known = survey and survey.missing
    return f"{survey.gaps}, or recordings were joined there" if known else "a packet is cut short"


def early_end(container: Container, stated: Fraction, reach: Fraction) -> str | None:
    """The fact that a file ends long before its stated length, or None.

    stated, reach: where its longest stream is to end, and where its last packet ends, s.
    """
    if container.is_timed and reach + ENDS_EARLY < stated:
        return f"nothing of it is readable from there to {float(stated):.2f} s"
    return None


def shortfall(chain: Chain, account: Account, stream: av.VideoStream, recount: Callable[[], int]) -> str | None:
    """The fact that an MP4 or MOV holds fewer frames than its tables state, or None.

    recount: the number of packets, those too that an edit hides, which are not missing.
    """
    stated = (stream.frames or 0) + _listed(chain, stream)
    if stream.container.format.name.startswith("mov") and account.packets < stated and (came := recount()) < stated:
        return f"it states {stated} frames, {came} are there"
    return None


def doubt(container: Container, chain: Chain, account: Account, stream: av.VideoStream) -> str | None:
    """The reason why frames are likely to be missing, or None."""
    is_mov = container.demuxer == "mov"
    if account.undecoded:
        return f"damaged: {account.undecoded} of its pictures cannot be decoded: frames are missing"
    if chain.flaw and not (is_mov and stream.frames):  # a table lists the samples; bytes behind them do no harm
        return f"damaged: {chain.flaw}: frames may be missing"
    if chain.second is not None:
        return "another recording follows the first in the file, and is not read"
    lost = account.uncovered if is_mov else _listed(chain, stream) - account.packets
    if container.demuxer == "mpegts":  # whose frames may begin in the middle of a picture
        lost = min(lost, account.gaps)
    if lost > 0:
        return f"damaged: {lost} of its pictures do not come: frames are missing"
    # A program stream has neither counters nor a table, and the counters of a transport stream do not tell its end.
    if gaps := {"mpeg": account.gaps, "mpegts": account.late_gaps * (not chain.joined)}.get(container.demuxer):
        return f"gaps in its times: {gaps} pictures would fit into them, and may be missing"
    return None


def early_stop(container: Container, stated: Fraction, reach: Fraction) -> str | None:
    """The doubt about a file that ends a little before its stated length, s, or None."""
    if container.states_its_end and reach + ENDS_SOON < stated:
        return f"damaged: the file states {float(stated):.2f} s and ends at {float(reach):.2f} s"
    return None


def _listed(chain: Chain, stream: av.VideoStream) -> int:
    """The pictures of a stream that the chain of its file holds; none if the chain is broken."""
    return 0 if chain.flaw else chain.pictures.get(_number(stream), 0)


def _number(stream: av.VideoStream) -> int:
    """The number under which a chain counts the pictures of a stream."""
    match stream.container.format.name.split(",")[0]:
        case "mov" | "asf" | "mpegts":
            return stream.id
        case "matroska":  # the place among the tracks of pictures
            return [other.index for other in stream.container.streams.video].index(stream.index)
        case "flv":
            return 0
        case _:
            return stream.index
