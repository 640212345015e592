"""Reads the first video track of a room with LiveKit's Python SDK: pictures as they are in memory to a
file, one JSON line for each to the standard output. "ready" is said once the room is joined.
The last picture, if it is I420, is also converted to each packed format."""

import asyncio
import json
import os
import sys

from livekit import rtc


# What the SDK converts I420 to.
FORMATS = ["RGBA", "ABGR", "ARGB", "BGRA", "RGB24"]


def convert(frame: rtc.VideoFrame, path: str) -> None:
    """Writes a picture of I420 in each packed format to a file of its own."""
    if frame.type != rtc.VideoBufferType.I420:
        return
    for name in FORMATS:
        with open(f"{path}.{name}", "wb") as picture:
            picture.write(frame.convert(rtc.VideoBufferType.Value(name)).data)


async def main(url: str, token: str, path: str, count: int, format: str) -> None:
    room = rtc.Room()
    subscribed: asyncio.Queue[rtc.Track] = asyncio.Queue()

    @room.on("track_subscribed")
    def on_subscribed(track, _publication, _participant):
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            subscribed.put_nowait(track)

    await room.connect(url, token)
    print(json.dumps("ready"), flush=True)
    stream = rtc.VideoStream(await subscribed.get(), format=rtc.VideoBufferType.Value(format))
    with open(path, "wb") as pictures:
        async for event in stream:
            pictures.write(event.frame.data)
            described = {
                "width": event.frame.width,
                "height": event.frame.height,
                "timestamp_us": event.timestamp_us,
                "rotation": 90 * event.rotation,
            }
            print(json.dumps(described), flush=True)
            count -= 1
            if count == 0:
                convert(event.frame, path)
                break
    await room.disconnect()
    # The library's own threads may abort an orderly exit of the interpreter.
    sys.stdout.flush()
    os._exit(0)


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
