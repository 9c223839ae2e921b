"""Runs cases on asyncio.StreamReader: a line of JSON each, with its outcome as a line of JSON."""
import asyncio
import json
import sys


class Transport:
    paused = False

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


async def settle():
    for _ in range(4):
        await asyncio.sleep(0)


async def outcome(task):
    try:
        return (await task).hex()
    except asyncio.IncompleteReadError as error:
        return ["incomplete", error.partial.hex(), error.expected]
    except asyncio.LimitOverrunError as error:
        return ["limit", error.consumed]
    except ValueError:
        return ["limit"]


async def run(case):
    reader = asyncio.StreamReader(limit=case["limit"])
    transport = Transport()
    reader.set_transport(transport)
    pieces = [bytes.fromhex(piece) for piece in case["pieces"]]
    results = []
    for name, argument in case["reads"]:
        if name == "readuntil":
            argument = bytes.fromhex(argument)
        call = getattr(reader, name)
        task = asyncio.ensure_future(call() if argument is None else call(argument))
        await settle()
        while not task.done():
            if pieces:
                reader.feed_data(pieces.pop(0))
            else:
                reader.feed_eof()
            await settle()
        results.append([await outcome(task), reader.at_eof(), transport.paused, len(pieces)])
    return results


async def main():
    for line in sys.stdin.readlines():
        print(json.dumps(await run(json.loads(line))))


asyncio.run(main())
