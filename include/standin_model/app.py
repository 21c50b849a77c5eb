"""The routes ``/v1/chat/completions`` and ``/v1/models`` of an OpenAI-compatible server."""

import time
import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.standin_model.answers import UnknownQuestionError, answer

MODEL_ID = "extractive-stand-in"


def app() -> Starlette:
    """Build the application."""
    return Starlette(
        routes=[
            Route("/v1/chat/completions", _complete, methods=["POST"]),
            Route("/v1/models", _models),
        ]
    )


async def _complete(request: Request) -> Response:
    try:
        messages = (await request.json())["messages"]
        prompt = "\n".join(message["content"] for message in messages if isinstance(message["content"], str))
        text = answer(prompt)
    except (KeyError, TypeError, ValueError) as error:
        # only the caller gets the reason; the prompt has text of messages, which is never logged
        reason = str(error) if isinstance(error, UnknownQuestionError) else "the question cannot be read"
        return JSONResponse({"error": {"message": reason, "type": "invalid_request_error"}}, status_code=400)
    return JSONResponse(_completion(text, prompt))


def _completion(text: str, prompt: str) -> dict[str, Any]:
    words, asked = len(text.split()), len(prompt.split())
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL_ID,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": asked, "completion_tokens": words, "total_tokens": asked + words},
    }


async def _models(_: Request) -> Response:
    model = {"id": MODEL_ID, "object": "model", "owned_by": "this project: a stand-in, not a model"}
    return JSONResponse({"object": "list", "data": [model]})
