"""Serve the stand-in for a model: ``python -m include.standin_model --port 8001``."""

import argparse

import uvicorn

from include.standin_model.app import app


def main() -> None:
    """Read the command line and serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m include.standin_model",
        description="An extractive STAND-IN for the language model behind EverOS. Not a model.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    uvicorn.run(app(), host=given.host, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
