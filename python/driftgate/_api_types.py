"""Bodies of the HTTP API, as `docs/reference/openapi.json` describes them.

Written by `tests/python/types_of_api.py`. Do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Optional, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired


class ActiveBlock(TypedDict):
    """A block that was signalled and not cleared."""

    group: str
    reasons: list[str]
    signal_id: str
    since: str
    verdict_id: str


class Approval(TypedDict):
    """An approval of a promotion, bound to what was there when it was given."""

    actor: str
    artifact_sha256: Optional[str]
    at_ms: int
    basis: NotRequired[Optional[Basis]]
    comment: Optional[str]
    evidence_sha256: str
    policy_sha256: str
    role: str
    to: str


class ApprovalRequest(TypedDict):
    comment: NotRequired[Optional[str]]
    role: NotRequired[Optional[str]]
    to: NotRequired[str]


class Approved(TypedDict):
    """The approval, and the gate's answer with it."""

    approval: Approval
    gate: GateAnswer


class AuditRecord(TypedDict):
    """A record of the audit log."""

    actor: str
    event: str
    model: NotRequired[Optional[str]]
    payload: Any
    prev: NotRequired[Optional[str]]
    seq: NotRequired[Optional[int]]
    ts: str
    version: NotRequired[Optional[str]]


class Basis(TypedDict):
    """What a version was made of and compared with when it was approved."""

    baseline_version: Optional[str]
    peers: dict[str, PeerSeen]
    snapshot_sha256: Optional[str]


class Cluster(TypedDict):
    """A cluster as one of its processes sees it."""

    advertise: str
    checked_age_ms: NotRequired[Optional[int]]
    claim: NotRequired[Optional[ClusterClaim]]
    copy_age_ms: NotRequired[Optional[int]]
    instance: str
    lag: NotRequired[Optional[int]]
    ledger_seq: int
    members: list[ClusterMember]
    not_current: NotRequired[Optional[str]]
    owner: NotRequired[Optional[str]]
    role: ClusterRole
    session_ms: int
    takeovers: int
    units: NotRequired[list[ClusterUnit]]


class ClusterClaim(TypedDict):
    """A commit of state."""

    age_ms: int
    at: str
    seq: int
    writer: str


class ClusterMember(TypedDict):
    """A process of the group."""

    advertise: str
    host: str
    instance: str
    owns: bool
    units: NotRequired[list[str]]


class ClusterUnit(TypedDict):
    """Models that one process counts."""

    claim: NotRequired[Optional[ClusterClaim]]
    models: list[str]
    owner: NotRequired[Optional[str]]
    role: ClusterRole
    unit: str


class Counted(TypedDict):
    """What a window counted."""

    labels: int
    predictions: int


class Error(TypedDict):
    """An answer with a status of 400 or above."""

    error: str


class Evidence(TypedDict):
    """A piece of evidence attached to a version. The latest of each kind counts; the audit log keeps all."""

    actor: str
    at_ms: int
    kind: str
    value: Any


class EvidenceKept(TypedDict):
    """All evidence of a version, the latest of each kind."""

    evidence: list[Evidence]
    model: str
    version: str


class Explanation(TypedDict):
    approvals: list[Approval]
    blocks: list[ActiveBlock]
    frozen: NotRequired[Optional[str]]
    gates: dict[str, GateAnswer]
    lineage: Lineage
    model: str
    overrides: list[Override]
    promotions: list[PromotionRecord]
    rollback_target: NotRequired[Optional[RollbackTarget]]
    rolled_back: NotRequired[Optional[str]]
    stages: list[str]
    verdicts: list[Verdict]
    version: str


class FlaggerCall(TypedDict):
    """What Flagger posts."""

    metadata: NotRequired[dict[str, str]]
    name: str
    namespace: NotRequired[str]
    phase: NotRequired[str]


class FreezeRequest(TypedDict):
    reason: NotRequired[Optional[str]]


class Frozen(TypedDict):
    changed: bool
    frozen: NotRequired[Optional[str]]
    model: str


class GateAnswer(TypedDict):
    """May a version be promoted to a stage, and why? Only `pass` means yes. Its JSON has the keys in this order."""

    age_s: Optional[int]
    copy: NotRequired[Optional[GateCopy]]
    evaluated_at: str
    gates: list[GateFinding]
    model: str
    notes: list[str]
    ok: bool
    policy_sha256: str
    reasons: list[str]
    to: str
    verdict: GateVerdict
    version: str


class GateCopy(TypedDict):
    """A copy of the registry that an answer is taken from."""

    age_ms: Optional[int]
    owner: Optional[str]


class GateFinding(TypedDict):
    """One gate and how it came out."""

    detail: str
    gate: str
    outcome: GateOutcome


class GroupSummary(TypedDict):
    """The latest verdict of a group; a `status` of null alone where there is none."""

    counted: NotRequired[Optional[Counted]]
    status: NotRequired[Optional[VerdictStatus]]
    verdict_id: NotRequired[Optional[str]]
    window: NotRequired[Optional[Window]]


class History(TypedDict):
    """The audit log's records of a model, the oldest first."""

    history: list[AuditRecord]
    left_out: NotRequired[bool]


class Input(TypedDict):
    """What was read of a topic since the start."""

    events: int
    examples: dict[str, RejectedEvent]
    problem: NotRequired[Optional[str]]
    recent: RecentEvents
    rejected: dict[str, int]
    topic: str
    unknown_model: int


class Inputs(TypedDict):
    inputs: list[Input]
    problems: list[str]


class LastRollout(TypedDict):
    rollout: NotRequired[Optional[Rollout]]


class Lineage(TypedDict):
    """What made a version."""

    artifact: NotRequired[Optional[str]]
    artifact_sha256: NotRequired[Optional[str]]
    baseline_sha256: NotRequired[Optional[str]]
    differing: NotRequired[list[str]]
    evidence: list[Evidence]
    policy_sha256: NotRequired[Optional[str]]
    reported: NotRequired[dict[str, Any]]
    snapshot: NotRequired[Optional[str]]
    snapshot_sha256: NotRequired[Optional[str]]


class ModelStatus(TypedDict):
    """A model in a few lines."""

    frozen: NotRequired[Optional[str]]
    metadata: NotRequired[dict[str, str]]
    model: str
    policy_sha256: NotRequired[str]
    problems: list[Problem]
    registry_drift: NotRequired[list[RegistryDrift]]
    rollback_pending: NotRequired[Optional[PendingRollback]]
    rollout: NotRequired[Optional[Rollout]]
    versions: list[VersionStatus]


class ModelSummary(TypedDict):
    """A model: one line per version and group."""

    metadata: dict[str, str]
    model: str
    policy_sha256: str
    versions: list[VersionSummary]


class Models(TypedDict):
    models: list[ModelSummary]


class Overridden(TypedDict):
    override: Override
    until: str


class Override(TypedDict):
    """A rule (and subject) that does not stop promotions for a while. Verdicts stay what they are."""

    actor: str
    at_ms: int
    reason: str
    rule: str
    subject: Optional[str]
    until_ms: int


class PeerSeen(TypedDict):
    """Another version as it was when an approval was given."""

    sha256: str
    version: str


class Point(TypedDict):
    """A window of a series."""

    complete: bool
    end: str
    limit: NotRequired[Optional[float]]
    lower: NotRequired[Optional[float]]
    muted: bool
    n: NotRequired[Optional[int]]
    pending: bool
    reason: NotRequired[Optional[str]]
    side: NotRequired[Optional[str]]
    stage: NotRequired[Optional[str]]
    start: str
    status: VerdictStatus
    upper: NotRequired[Optional[float]]
    value: NotRequired[Optional[float]]
    warn: NotRequired[Optional[float]]


class Problem(TypedDict):
    """One thing that is wrong."""

    model: NotRequired[Optional[str]]
    next: NotRequired[Optional[str]]
    problem: str
    severity: Severity
    version: NotRequired[Optional[str]]


class PromoteRequest(TypedDict):
    comment: NotRequired[Optional[str]]
    retry: NotRequired[Optional[str]]
    to: NotRequired[str]


class Promoted(TypedDict):
    """The gate's answer, and what it led to."""

    age_s: Optional[int]
    copy: NotRequired[Optional[GateCopy]]
    evaluated_at: str
    gates: list[GateFinding]
    model: str
    notes: list[str]
    ok: bool
    policy_sha256: str
    reasons: list[str]
    record: NotRequired[Optional[PromotionRecord]]
    rollout: NotRequired[Optional[Rollout]]
    to: str
    verdict: GateVerdict
    version: str


class PromotionRecord(TypedDict):
    """What was promoted, by whom, on what grounds. Rates are fractions, times milliseconds. Records of releases before may lack fields."""

    actor: NotRequired[Optional[str]]
    approvers: NotRequired[list[str]]
    artifacts: NotRequired[dict[str, Any]]
    at: NotRequired[Optional[str]]
    champion: NotRequired[Any]
    checks: NotRequired[dict[str, Any]]
    comment: NotRequired[Optional[str]]
    ended_at: NotRequired[Optional[str]]
    from_stage: NotRequired[Optional[str]]
    gates: NotRequired[list[GateFinding]]
    model: NotRequired[Optional[str]]
    policy_sha256: NotRequired[Optional[str]]
    promotion_id: NotRequired[Optional[str]]
    retry: NotRequired[Optional[str]]
    rollback_to: Any
    rollback_triggers: NotRequired[list[str]]
    rollout: NotRequired[Optional[str]]
    status: NotRequired[Optional[str]]
    to_stage: NotRequired[Optional[str]]
    units: NotRequired[dict[str, Any]]
    version: Any


class Promotions(TypedDict):
    promotions: list[PromotionRecord]


class Readiness(TypedDict):
    """Whether the daemon works, and if not what it waits for."""

    ready: bool
    state: NotRequired[Optional[ClusterRole]]
    waiting: NotRequired[dict[str, str]]


class RecentEvents(TypedDict):
    """The last minutes, or the last events where they are few."""

    events: int
    rejected: int
    share: NotRequired[Optional[float]]


class RegisterRequest(TypedDict):
    """What registering a version says beside the path."""

    artifact: NotRequired[Optional[str]]
    artifact_sha256: NotRequired[Optional[str]]
    baseline_version: NotRequired[Optional[str]]
    evidence: NotRequired[dict[str, Any]]
    snapshot: NotRequired[Optional[str]]
    snapshot_sha256: NotRequired[Optional[str]]
    stage: NotRequired[Optional[str]]


class RegistryDrift(TypedDict):
    """Something that the external registry has otherwise, or does not have any more."""

    detail: str
    kind: str
    model: str
    since: str
    stage: NotRequired[Optional[str]]
    version: NotRequired[Optional[str]]


class RejectedEvent(TypedDict):
    detail: str
    offset: int
    partition: int
    read: str


class RollbackRequest(TypedDict):
    drill: NotRequired[bool]
    reason: str
    to: NotRequired[Optional[str]]


class RollbackTarget(TypedDict):
    """Where a rollback of the version would go."""

    caution: Optional[str]
    version: str


class RolloutRequest(TypedDict):
    action: str
    reason: NotRequired[Optional[str]]


class Route(TypedDict):
    """What is known of a router that follows a rollout. Weights are percent for the candidate."""

    confirmed: Optional[float]
    confirmed_ms: Optional[int]
    mirrored: NotRequired[bool]
    moved: Optional[str]
    router: str
    writing: Optional[float]


class RuleResult(TypedDict):
    """One rule on one subject. Which evidence stands beside these fields depends on the metric."""

    bins: NotRequired[Optional[list[dict[str, Any]]]]
    importance: NotRequired[Optional[float]]
    limit: NotRequired[Optional[dict[str, Any]]]
    metric: str
    muted: NotRequired[Optional[bool]]
    n: NotRequired[Optional[int]]
    pending: NotRequired[Optional[bool]]
    reason: NotRequired[Optional[str]]
    reference_n: NotRequired[Optional[int]]
    rule: str
    segments: NotRequired[Optional[list[dict[str, Any]]]]
    since: NotRequired[Optional[str]]
    status: VerdictStatus
    subject: str
    value: Optional[float]


class Series(TypedDict):
    """A rule on a subject."""

    group: str
    metric: str
    points: list[Point]
    rule: str
    segment: NotRequired[Optional[str]]
    subject: str


class Status(TypedDict):
    """The daemon and every model. Commands read only what they show, so that they understand a daemon of another release."""

    cluster: NotRequired[Optional[Cluster]]
    inputs: NotRequired[list[Input]]
    models: list[ModelStatus]
    not_ready: NotRequired[dict[str, str]]
    problems: list[Problem]
    ready: NotRequired[bool]
    remarks: NotRequired[list[str]]
    undelivered: NotRequired[dict[str, int]]


class TrafficShare(TypedDict):
    """Predictions by version since the routers have the weight, in windows that do not overlap."""

    both: int
    candidate: int
    open: Optional[TrafficShareWindow]
    since_ms: Optional[int]
    until_ms: Optional[int]


class TrafficShareWindow(TypedDict):
    """A window of which not all versions have been judged."""

    both: int
    candidate: int
    end_ms: int


class UnblockRequest(TypedDict):
    group: NotRequired[Optional[str]]
    reason: str


class Unblocked(TypedDict):
    ended: list[ActiveBlock]
    model: str
    version: str


class Verdict(TypedDict):
    """A window of one (model, version, group), judged. No decision changes it."""

    baseline_sha256: Optional[str]
    brief: NotRequired[Optional[bool]]
    counted: Counted
    group: str
    model: str
    policy_sha256: str
    results: list[RuleResult]
    stage: Optional[str]
    status: VerdictStatus
    verdict_id: str
    version: str
    window: Window


class Verdicts(TypedDict):
    """Verdicts, the newest first. Older ones have no evidence, and `"brief": true`."""

    verdicts: list[Verdict]


class VersionDetail(TypedDict):
    """A version, as events and the registry have it."""

    baseline: NotRequired[Optional[Baseline]]
    blocks: list[ActiveBlock]
    model: str
    policy_sha256: str
    predictions: int
    recorded: dict[str, str]
    registry: NotRequired[Optional[VersionRecord]]
    stages: list[str]
    verdicts: dict[str, Verdict]
    version: str


class VersionRecord(TypedDict):
    """A version as the registry has it."""

    anew_ms: NotRequired[Optional[int]]
    artifact: Optional[str]
    artifact_sha256: Optional[str]
    baseline_version: Optional[str]
    blocks: list[ActiveBlock]
    lost_at: NotRequired[Optional[int]]
    model: str
    registered_at: int
    reported: NotRequired[Optional[dict[str, Any]]]
    rolled_back: Optional[str]
    snapshot: Optional[str]
    snapshot_sha256: Optional[str]
    stages: list[str]
    version: str


class VersionStatus(TypedDict):
    """A version in a line."""

    blocks: list[ActiveBlock]
    differing: NotRequired[list[str]]
    predictions: int
    rolled_back: NotRequired[Optional[str]]
    stages: list[str]
    version: str
    worst: NotRequired[Optional[Worst]]


class VersionSummary(TypedDict):
    blocks: list[ActiveBlock]
    groups: dict[str, GroupSummary]
    predictions: int
    stages: list[str]
    version: str


class Window(TypedDict):
    """The span that a verdict is about: [start, end), as JSON RFC 3339 in UTC."""

    complete: bool
    end: str
    start: str


class WindowDistribution(TypedDict):
    """The distribution of a window beside that of the training snapshot."""

    bins: list[dict[str, Any]]
    complete: bool
    end: str
    invalid: NotRequired[Optional[int]]
    missing: NotRequired[Optional[int]]
    n: NotRequired[Optional[int]]
    reference_n: NotRequired[Optional[int]]
    rule: str
    start: str
    status: VerdictStatus
    value: NotRequired[Optional[float]]


class Worst(TypedDict):
    """The worst of the latest verdicts."""

    group: str
    reasons: list[str]
    status: VerdictStatus
    window_end: str


Baseline = dict[str, Any]

ClusterRole = Literal["standby", "taking_over", "owner", "counting", "giving_back"]

DistributionsFound = TypedDict("DistributionsFound", {"distributions": "list[WindowDistribution]", "every": "int", "from": "str", "model": "str", "subject": "str", "to": "str", "version": "str"}, total=False)

EvidenceRequest = dict[str, Any]

GateOutcome = Literal["pass", "warn", "pending", "inconclusive", "block"]

GateVerdict = Literal["pass", "block", "inconclusive", "pending"]

OverrideRequest = TypedDict("OverrideRequest", {"for": "Optional[str]", "reason": "str", "rule": "str", "subject": "Optional[str]", "until": "Optional[str]"}, total=False)

PendingRollback = TypedDict("PendingRollback", {"from": "str", "model": "str", "since": "str", "to": "str"}, total=False)

RolledBack = TypedDict("RolledBack", {"drill": "bool", "from": "str", "model": "str", "moved": "bool", "to": "Optional[str]"}, total=False)

Rollout = TypedDict("Rollout", {"breaches": "dict[str, Any]", "candidate": "str", "champion": "Optional[str]", "comparison": "dict[str, Any]", "confirmed": "bool", "dry_run": "bool", "external": "bool", "first_seen_ms": "dict[str, int]", "from": "str", "gate_asked": "bool", "id": "str", "inconclusive": "bool", "looks": "list[dict[str, Any]]", "measured": "dict[str, Any]", "model": "str", "now_ms": "int", "paused": "Optional[str]", "pauses": "list[dict[str, Any]]", "phase": "RolloutPhase", "processed_ms": "dict[str, dict[str, int]]", "routes": "list[Route]", "share": "TrafficShare", "started_ms": "int", "step": "int", "step_started_ms": "int", "to": "str", "weight": "float", "why": "str"}, total=False)

RolloutPhase = Literal["Waiting", "Progressing", "WaitingPromotion", "Promoting", "Succeeded", "Failed"]

SeriesFound = TypedDict("SeriesFound", {"from": "str", "model": "str", "series": "list[Series]", "to": "str", "version": "str"}, total=False)

Severity = Literal["halted", "production", "refused", "waiting", "unknown", "candidate", "warning", "partial"]

Value = Any

VerdictStatus = Literal["pass", "warn", "insufficient", "block"]
