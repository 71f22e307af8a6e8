"""Frames that are made by hand: a WebSocket parser reads them as what they hold."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from fillwright.api.frames import text_frame


def parsed(data: bytes) -> list[Frame]:
    """Every frame in `data`, as a client reads it."""
    reader = StreamReader()
    reader.feed_data(data)
    frames: list[Frame] = []
    while reader.buffer:
        frames.append(run(Frame.parse(reader.read_exact, mask=False)))
    return frames


def run(parser: Generator[None, None, Frame]) -> Frame:
    with pytest.raises(StopIteration) as ended:
        next(parser)
    frame = ended.value.value
    assert isinstance(frame, Frame)
    return frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_a_frame_of_any_size_reads_back(size: int) -> None:
    payload = b"x" * size
    (frame,) = parsed(text_frame(payload))
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, payload, True)


def test_frames_one_after_another_stay_apart() -> None:
    payloads = [b"", b"{}", "\u00fc".encode() * 100, b"y" * 70_000]
    frames = parsed(b"".join(map(text_frame, payloads)))
    assert [bytes(frame.data) for frame in frames] == payloads
