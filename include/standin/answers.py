"""Bodies of answers, in the shapes of the SDK's response types (``everos.types.v1``)."""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from include.standin.faults import Fault
from include.standin.memory import Memory
from include.standin.validation import Invalid

CUT = 499
"""In place of an HTTP status when the connection was cut without an answer."""

_MOST = 100


def error(status: int, message: str, request: Request, *, code: str = "HTTP_ERROR") -> Response:
    """Return an error in the envelope of the reference server (``ErrorApiResponse``)."""
    body = {
        "code": code,
        "message": message,
        "request_id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC).isoformat(),
        "path": request.url.path,
    }
    return JSONResponse(body, status_code=status)


def faulty(fault: Fault, request: Request) -> Response:
    """Return the error that a fault asks for."""
    response = error(fault.status, "made by the stand-in on request", request, code=fault.code or "HTTP_ERROR")
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


async def echo(fault: Fault, request: Request) -> Response:
    """
    Return an error that repeats what was submitted: in every field, in other case, escaped, split and cut short.

    Of an add it is the text of the first message that is repeated, otherwise the whole body.
    """
    body = json.loads(await request.body() or b"{}")
    messages = body.get("messages") if isinstance(body, dict) else None
    text = str(messages[0].get("content")) if messages else json.dumps(body)
    words = text.split()
    forms = [text, text.upper(), text.title(), json.dumps(text.encode("utf-16-be").hex()), " ".join(text), text[:5]]
    forms += ["".join(f"&#{ord(character)};" for character in text), "-".join(words), "_".join(words).upper(), *words]
    fields = {
        "code": "_".join(words).upper(),
        "message": f"messages[0].content: cannot take {'; '.join(forms)}",
        "task_id": text,
        "status": text,
        "request_id": text,
        "path": f"/{text}",
        "detail": [
            {"loc": ["body", "messages", 0, form], "msg": form, "type": form, "input": form, "ctx": {"error": form}}
            for form in forms
        ],
        text: text,
    }
    header = text.encode("ascii", "backslashreplace").decode()
    headers = {"X-Error": header, "Location": f"http://{header}/", "Retry-After": header, "X-Request-Id": header}
    return JSONResponse({**fields, "error": fields}, status_code=fault.status, headers=headers)


def added(count: int, *, task_id: str | None = None, status: str | None = None) -> dict[str, Any]:
    """``AddResult``."""
    message = "Messages accepted" if status else "Messages queued for processing"
    return {"message": message, "message_count": count, "status": status, "task_id": task_id}


def settings() -> dict[str, Any]:
    """``SettingsResponse`` with fixed values."""
    return {
        "boundary_detection_timeout": 1800,
        "offline_profile_extraction_interval": 86400,
        "extraction_mode": "default",
        "timezone": "UTC",
        "created_at": _iso(0),
        "updated_at": _iso(0),
    }


def search(memory: Memory, body: Mapping[str, Any]) -> dict[str, Any]:
    """``SearchMemoriesResponseData``: episodes by keyword and raw messages by age, each up to ``top_k``."""
    filters, query = _filters(body), str(body.get("query") or "")
    types = body.get("memory_types") or ["episodic_memory"]
    top_k = _top_k(body.get("top_k", -1))
    found: dict[str, Any] = {
        "query": {"text": query, "method": str(body.get("method") or "keyword"), "filters_applied": dict(filters)},
        "episodes": [],
        "raw_messages": [],
        "profiles": [],
    }
    if "raw_message" in types:
        # The reference takes -1 for its default of 10 here, and never more than 100.
        found["raw_messages"] = [_raw(row) for row in memory.pending(filters, 10 if top_k < 0 else top_k)]
    if "episodic_memory" in types:
        hits = memory.search(filters, query, _MOST if top_k < 0 else top_k)
        found["episodes"] = [{**_episode(row), "score": score} for row, score in hits]
    return found


def get(memory: Memory, body: Mapping[str, Any]) -> dict[str, Any]:
    """``GetMemResponse``: one page of episodes; other memory types do not exist here."""
    filters = _filters(body)
    if body.get("memory_type") not in ("episodic_memory", "profile", "agent_case", "agent_skill"):
        raise Invalid("memory_type must be one of: agent_case, agent_skill, episodic_memory, profile")
    page, size = body.get("page", 1), body.get("page_size", 20)
    if not isinstance(page, int) or page < 1 or not isinstance(size, int) or not 1 <= size <= _MOST:
        raise Invalid("page starts from 1, page_size is 1 to 100")
    if body["memory_type"] != "episodic_memory":
        return {"episodes": [], "count": 0, "total_count": 0}
    newest_first = body.get("rank_order", "desc") == "desc"
    total, rows = memory.episodes(filters, page=page, size=size, newest_first=newest_first)
    return {"episodes": [_episode(row) for row in rows], "count": len(rows), "total_count": total}


def _filters(body: Mapping[str, Any]) -> dict[str, Any]:
    filters = body.get("filters")
    if not isinstance(filters, dict):
        raise Invalid("Missing required field: filters")
    return filters


def _top_k(value: object) -> int:
    if not isinstance(value, int) or value == 0 or value < -1:
        raise Invalid("top_k must be -1 (return all results) or a positive integer (1-100)")
    return min(value, _MOST)


def _raw(row: sqlite3.Row) -> dict[str, Any]:
    """``RawMessageDto``."""
    return {
        "id": _object_id(row["row"]),
        "request_id": "",
        **{name: row[name] for name in ("group_id", "session_id", "message_id", "sender_id", "sender_name")},
        "content_items": [{"type": "text", "text": row["text"]}],
        "timestamp": _iso(row["timestamp_ms"]),
        "created_at": _iso(row["created_s"] * 1000),
        "updated_at": _iso(row["created_s"] * 1000),
    }


def _episode(row: sqlite3.Row) -> dict[str, Any]:
    """``EpisodeItem``."""
    return {
        "id": _object_id(row["row"]),
        **{name: row[name] for name in ("group_id", "user_id", "session_id", "subject", "summary", "episode")},
        "participants": json.loads(row["participants"]),
        "sender_ids": json.loads(row["sender_ids"]),
        "timestamp": _iso(row["timestamp_ms"]),
        "type": "Conversation",
    }


def _object_id(row: int) -> str:
    return f"{row:024x}"


def _iso(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
