"""A client of a daemon's HTTP API."""

from __future__ import annotations

import io
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union, cast

from ._errors import ApiError

if TYPE_CHECKING:
    import pandas

    from . import _api_types as types

# An answer is no longer than this.
_MOST_BYTES = 256 << 20
# Between two questions of a gate that is waited for.
_PAUSE_S = 2.0

_Query = Mapping[str, Union[str, int, None]]


class Client:
    """A running daemon, by its HTTP API (docs/reference/http.md).

    It keeps no connection and may be used from several threads.

    Args:
        url: The daemon's address, such as `http://127.0.0.1:9464`.
        token: A token that may do what is asked for; without one only what `http.read: open` shows can be read.
        timeout: Seconds that an answer may take.
        ca_file: Certificates (PEM) of the authorities that the daemon's certificate is from, if not this machine's.

    Every method raises `ApiError` where the daemon refuses, cannot be reached, or does not answer in time.
    """

    def __init__(
        self, url: str, token: Optional[str] = None, *, timeout: float = 30.0, ca_file: Optional[str] = None
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no address of a daemon: write it like http://127.0.0.1:9464")
        if token is not None and (not token or not token.isascii() or not token.isprintable() or " " in token):
            raise ValueError("the token is empty or has characters that no token has (a line end of its file?)")
        if timeout <= 0:
            raise ValueError(f"timeout is {timeout}: write seconds above 0")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._token = token
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if parts.scheme == "https":
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file)))
        self._opener = urllib.request.build_opener(*handlers)

    def __repr__(self) -> str:
        """Without the token."""
        return f"Client({self.url!r})"

    # Reading.

    def ready(self) -> types.Readiness:
        """Whether the daemon works, and if not what it waits for; `ready` says which."""
        return self._json("GET", "/ready", accepted=(503,))

    def status(self) -> types.Status:
        """What is wrong anywhere, the worst first, and every version by group."""
        return self._json("GET", "/api/v1/status")

    def models(self) -> types.Models:
        """Every model: one line per version and group."""
        return self._json("GET", "/api/v1/models")

    def model(self, model: str) -> types.ModelStatus:
        """One model: its stages, blocks, rollout and versions."""
        return self._json("GET", f"/api/v1/models/{_part(model)}/status")

    def version(self, model: str, version: str) -> types.VersionDetail:
        """One version: its stages, blocks, evidence and approvals."""
        return self._json("GET", _of(model, version))

    def verdicts(
        self, model: str, version: str, *, group: Optional[str] = None, limit: Optional[int] = None
    ) -> list[types.Verdict]:
        """Verdicts of a version, the newest first.

        At most `limit` (1 to 1000; 50 unless given), of one group if it is named.
        """
        found = self._json("GET", f"{_of(model, version)}/verdicts", query={"group": group, "limit": limit})
        return cast("list[types.Verdict]", found["verdicts"])

    def explain(self, model: str, version: str) -> types.Explanation:
        """Why a version is as it is."""
        return self._json("GET", f"{_of(model, version)}/explain")

    def history(self, model: str, *, limit: Optional[int] = None, before: Optional[int] = None) -> types.History:
        """The last records of the audit log on a model, the oldest first; `before` is a record's `seq`."""
        return self._json("GET", f"/api/v1/models/{_part(model)}/history", query={"limit": limit, "before": before})

    def promotions(self, model: str, version: str) -> types.Promotions:
        """The promotion records of a version."""
        return self._json("GET", f"{_of(model, version)}/promotions")

    def series(
        self,
        model: str,
        version: str,
        *,
        rule: Optional[str] = None,
        subject: Optional[str] = None,
        start: Optional[str] = None,
        end: Optional[str] = None,
        segments: bool = False,
    ) -> types.SeriesFound:
        """Values of a version over time, from the daemon's history.

        Args:
            model: The model.
            version: The version.
            rule: Only this rule, as `group/id`.
            subject: Only this subject, such as a feature.
            start: Windows that end at this time or later: RFC 3339, or a date. Seven days before `end` unless given.
            end: Windows that end before this time. Just after the newest window unless given.
            segments: Also the segments of subjects, each a series of its own.
        """
        query = {"rule": rule, "subject": subject, "from": start, "to": end, "segments": "true" if segments else None}
        return self._json("GET", f"{_of(model, version)}/series", query=query)

    def series_frame(
        self,
        model: str,
        version: str,
        *,
        rule: Optional[str] = None,
        subject: Optional[str] = None,
        start: Optional[str] = None,
        end: Optional[str] = None,
    ) -> pandas.DataFrame:
        """The same as a DataFrame of pandas, which has to be installed: a row a window, rule and subject, times in UTC.

        Columns are `group`, `rule`, `subject` and those of `Point` (docs/reference/openapi.json): `start`, `end`,
        `value`, `lower`, `upper`, `limit`, `status`, `n` and others. What is missing is NaN or None.
        """
        try:
            import pandas as pd
        except ImportError as why:
            raise ImportError("series_frame needs pandas: pip install pandas, or use series") from why
        found = self.series(model, version, rule=rule, subject=subject, start=start, end=end)
        rows = [
            {**{key: value for key, value in series.items() if key != "points"}, **point}
            for series in cast("list[dict[str, Any]]", found["series"])
            for point in series["points"]
        ]
        frame = pd.DataFrame(rows)
        for column in [name for name in ("start", "end") if name in frame]:
            frame[column] = pd.to_datetime(frame[column], utc=True)
        return frame

    def gate(self, model: str, version: str, to: str = "prod", *, wait: float = 0.0) -> types.GateAnswer:
        """May a version be promoted to a stage? Only `verdict` "pass" (`ok` is true) means yes.

        Args:
            model: The model.
            version: The version.
            to: The stage.
            wait: While the answer is neither pass nor block, ask again for so many seconds. What is still open then is
                the answer.
        """
        end = time.monotonic() + wait
        while True:
            path = f"/api/v1/gate/{_part(model)}/{_part(version)}"
            answer = cast("types.GateAnswer", self._json("GET", path, query={"to": to}))
            left = end - time.monotonic()
            if answer["verdict"] in ("pass", "block") or left <= 0:
                return answer
            time.sleep(min(_PAUSE_S, left))

    # Changing. Each needs a token whose role may do it.

    def register(
        self,
        model: str,
        version: str,
        *,
        snapshot: Optional[str] = None,
        snapshot_sha256: Optional[str] = None,
        artifact: Optional[str] = None,
        artifact_sha256: Optional[str] = None,
        baseline_version: Optional[str] = None,
        evidence: Optional[Mapping[str, Any]] = None,
        stage: Optional[str] = None,
    ) -> types.VersionRecord:
        """Registers a version, or adds to what is registered. Paths are those of the daemon's machine.

        Args:
            model: The model.
            version: The version.
            snapshot: Its training snapshot or built baseline, if not where the policy says.
            snapshot_sha256: The snapshot's digest.
            artifact: Where its artifact's files are.
            artifact_sha256: The artifact's digest.
            baseline_version: The version that its offline metrics are compared with.
            evidence: Evidence by kind: `{"tests": "pass", "offline": {"auc": 0.88}}`.
            stage: A stage pointer to put on it.
        """
        body = {
            "snapshot": snapshot,
            "snapshot_sha256": snapshot_sha256,
            "artifact": artifact,
            "artifact_sha256": artifact_sha256,
            "baseline_version": baseline_version,
            "evidence": evidence,
            "stage": stage,
        }
        return self._json("POST", _of(model, version), body=body)

    def attach(self, model: str, version: str, evidence: Mapping[str, Any]) -> types.EvidenceKept:
        """Attaches evidence by kind to a version: `{"tests": "pass", "offline": {"auc": 0.88}}`."""
        return self._json("POST", f"{_of(model, version)}/evidence", body=dict(evidence))

    def approve(
        self, model: str, version: str, to: str = "prod", *, role: Optional[str] = None, comment: Optional[str] = None
    ) -> types.Approved:
        """Approves a version for a stage, in the name of the token's holder; `role` where the token has several."""
        body = {"to": to, "role": role, "comment": comment}
        return self._json("POST", f"{_of(model, version)}/approvals", body=body)

    def promote(
        self, model: str, version: str, to: str = "prod", *, comment: Optional[str] = None, retry: Optional[str] = None
    ) -> types.Promoted:
        """Promotes a version if the gate passes: `ok` says whether it did.

        `retry` says why one that was rolled back is tried again.
        """
        body = {"to": to, "comment": comment, "retry": retry}
        return self._json("POST", f"{_of(model, version)}/promote", body=body)

    def rollback(
        self, model: str, version: str, reason: str, *, to: Optional[str] = None, drill: bool = False
    ) -> types.RolledBack:
        """Takes a version out of prod, to `to` or else the last stable version. With `drill` nothing moves."""
        body = {"reason": reason, "to": to, "drill": drill}
        return self._json("POST", f"{_of(model, version)}/rollback", body=body)

    def override(
        self,
        model: str,
        version: str,
        rule: str,
        reason: str,
        *,
        subject: Optional[str] = None,
        lasts: Optional[str] = None,
        until: Optional[str] = None,
    ) -> types.Overridden:
        """A result of a rule (`group/id`) does not hold up promotions for a while.

        It ends after a time such as `24h` (`lasts`), or at `until` (RFC 3339).
        """
        body = {"rule": rule, "reason": reason, "subject": subject, "for": lasts, "until": until}
        return self._json("POST", f"{_of(model, version)}/overrides", body=body)

    def unblock(self, model: str, version: str, reason: str, *, group: Optional[str] = None) -> types.Unblocked:
        """Ends the block of a group, or all blocks of a version."""
        return self._json("POST", f"{_of(model, version)}/unblock", body={"reason": reason, "group": group})

    def freeze(self, model: str, reason: str) -> types.Frozen:
        """Stops automatic actions on a model until `resume`."""
        return self._json("POST", f"/api/v1/models/{_part(model)}/freeze", body={"reason": reason})

    def resume(self, model: str) -> types.Frozen:
        """Lets automatic actions on a model happen again."""
        return self._json("POST", f"/api/v1/models/{_part(model)}/resume", body={})

    def _json(
        self,
        method: str,
        path: str,
        *,
        query: Optional[_Query] = None,
        body: Optional[Mapping[str, Any]] = None,
        accepted: tuple[int, ...] = (),
    ) -> Any:
        asked = {key: str(value) for key, value in (query or {}).items() if value is not None}
        address = self.url + path + (f"?{urllib.parse.urlencode(asked)}" if asked else "")
        request = urllib.request.Request(address, method=method, headers={"Accept": "application/json"})
        if self._token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            said = {key: value for key, value in body.items() if value is not None}
            request.data = json.dumps(said, allow_nan=False).encode()
            request.add_header("Content-Type", "application/json")
        what = f"{method} {path}"
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return _parsed(answer.read(_MOST_BYTES + 1), what)
        except urllib.error.HTTPError as refused:
            text = refused.read(_MOST_BYTES + 1)
            if refused.code in accepted:
                return _parsed(text, what)
            raise ApiError(_said(text) or f"the answer has no text ({refused.reason})", refused.code, what) from None
        except (OSError, urllib.error.URLError) as why:
            cause = getattr(why, "reason", why)
            raise ApiError(f"{self.url} cannot be reached: {cause}", None, what) from why


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A change is sent on by nobody but the caller.

    A process of a cluster that does not own the ledger names the one that does.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Optional[urllib.request.Request]:
        if req.get_method() == "GET" and req.host == urllib.parse.urlsplit(newurl).netloc:
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        raise ApiError(
            f"it is answered by {newurl}: use a client of that address", code, f"{req.get_method()} {req.selector}"
        )


def _parsed(text: bytes, what: str) -> Any:
    if len(text) > _MOST_BYTES:
        raise ApiError(f"the answer is longer than {_MOST_BYTES >> 20} MiB", None, what)
    try:
        return json.load(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    except ValueError as why:
        raise ApiError(f"the answer is no JSON, is it a daemon's? {why}", None, what) from why


def _said(text: bytes) -> str:
    """What an answer says is wrong."""
    try:
        found = json.loads(text)
    except ValueError:
        return text[:500].decode("utf-8", "replace").strip()
    return str(found.get("error") or "") if isinstance(found, dict) else ""


def _part(name: str) -> str:
    """A name within a path."""
    if not name or name in (".", ".."):
        raise ValueError(f"{name!r} names no model or version")
    return urllib.parse.quote(name, safe="")


def _of(model: str, version: str) -> str:
    return f"/api/v1/models/{_part(model)}/versions/{_part(version)}"
