"""Runs the scenarios under asyncio, each on a loop of its own, and prints their lines as JSON.

    python3 -B run.py [TOPIC ...]

prints {TOPIC: {NAME: [LINE, ...]}}. A scenario that fails leaves a last line that says so.
"""

import asyncio
import importlib
import json
import logging
import os
import sys
import traceback

from stage import Stage

# Long for a machine under load; a scenario takes milliseconds.
TIMEOUT = 20


async def perform(scenario):
    stage = Stage()
    failure = []
    try:
        await asyncio.wait_for(scenario(stage), TIMEOUT)
    except (Exception, asyncio.CancelledError):
        failure = [f"scenario failed under asyncio: {traceback.format_exc()}"]
    # What comes of cleaning up is nobody's business.
    lines = stage.lines() + failure
    await asyncio.wait_for(stage.clean_up(), TIMEOUT)
    return lines


def main():
    # asyncio warns of what some scenarios do on purpose.
    logging.disable(logging.CRITICAL)
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenarios")
    topics = sys.argv[1:] or sorted(name[:-3] for name in os.listdir(folder) if name.endswith(".py"))
    results = {}
    for topic in topics:
        scenarios = importlib.import_module(f"scenarios.{topic}").scenarios
        results[topic] = {name: asyncio.run(perform(scenario)) for name, scenario in scenarios.items()}
    json.dump(results, sys.stdout)


main()
