"""How fast the instances of the MArk paper's models are, batch by batch: what a simulation needs beyond capacities.

Source: Zhang, Yu, Wang, Yan: MArk, USENIX ATC 2019, and its published prototype, marcoszh/MArk-Project at 180be0a. The
time of the batch that the prototype uses is 60 s over its batches per minute; that of other sizes follows the paper's
figure 2d, digitised (about 1 %). Times are means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mark.domain.offering import Market, Offering, Serverless

__all__ = ["PaperService", "paper_service"]

_BATCH_ROWS = (1, 2, 4, 8)
_STANDBY_BOOT_S = 100.0  # "less than 2 minutes" in the paper; the prototype's own test waits 100 s
_T2_LAUNCH_CREDITS_S = 1800.0  # the half hour at full speed that the paper reports
_FARGATE_BOOT_S = 40.0  # "dozens of seconds" in the paper
_STANDBYS_MAX = 40


@dataclass(frozen=True, slots=True)
class PaperService:
    """What serves one model, and how fast.

    Attributes:
        batch_means_ms: mean latency by rows, by offering; the largest batch is the most that one takes.
        extra: offerings beside those of the scenario that are simulated with it: containers and burstable standbys.
        serverless: what takes single requests; None where it cannot meet the SLO.
        twitter_scale: how much of the paper's Twitter load the model gets.
        notes: in words, what is assumed.
    """

    batch_means_ms: dict[str, tuple[tuple[int, float], ...]]
    extra: tuple[Offering, ...]
    serverless: Serverless | None
    twitter_scale: float
    notes: tuple[str, ...]


def _single(*per_minute: tuple[str, float]) -> dict[str, tuple[tuple[int, float], ...]]:
    """Types that serve one request at a time, at so many a minute."""
    return {name: ((1, 60_000 / rate),) for name, rate in per_minute}


def _batched(batches_per_minute: float, ratios: tuple[float, ...]) -> tuple[tuple[int, float], ...]:
    """A type that serves so many of its largest batches a minute; ratios are those of latency, by size."""
    largest_ms = 60_000 / batches_per_minute
    return tuple((rows, largest_ms * ratio / ratios[-1]) for rows, ratio in zip(_BATCH_ROWS, ratios, strict=False))


def _standby(name: str, usd_per_hour: float) -> Offering:
    return Offering(
        name,
        Market.BURSTABLE,
        usd_per_hour,
        boot_s=_STANDBY_BOOT_S,
        max_count=_STANDBYS_MAX,
        baseline_share=0.2,
        credits_s=_T2_LAUNCH_CREDITS_S,
        launch_overhead_s=_STANDBY_BOOT_S,
    )


_T2_MEDIUM = _standby("t2.medium", 0.0464)
_T2_XLARGE = replace(_standby("t2.xlarge", 0.1856), baseline_share=0.225)
# $9.17 for a million requests of 217 ms each (table 2 of the paper), one at a time.
_FARGATE = Offering("fargate.2vcpu", Market.ON_DEMAND, 0.1521, boot_s=_FARGATE_BOOT_S, max_count=50)

_STANDBY_NOTE = "standbys are stopped burstables with full launch credits, ready 100 s after a notice"
_SERVICES = {
    "paper/inception-v3": PaperService(
        _single(
            ("c5.large", 284), ("c5.xlarge", 490), ("c5.2xlarge", 771), ("c5.4xlarge", 1080),
            ("t2.medium", 60_000 / 140.4), ("fargate.2vcpu", 60_000 / 217),
        ) | {"p2.xlarge": _batched(415, (1, 1.4, 2.2, 2.7))},
        (_FARGATE, _T2_MEDIUM),
        Serverless("lambda", 19.0, 380.0, 1000),
        1.8,
        (_STANDBY_NOTE, "assumed: a container of 2 vCPU on Fargate serves 40 s after its launch"),
    ),
    "paper/nasnet": PaperService(
        _single(("c5.xlarge", 85), ("c5.2xlarge", 135), ("c5.4xlarge", 187), ("t2.xlarge", 85))
        | {"p2.xlarge": _batched(95, (1, 1.5, 2.0, 3.3))},
        (_T2_XLARGE,),
        None,
        0.5,
        (
            _STANDBY_NOTE,
            "assumed: batches on p2.xlarge grow as Inception-ResNet's do, and t2.xlarge bursts as fast as c5.xlarge",
        ),
    ),
    "paper/lstm-ptb": PaperService(
        _single(("c5.xlarge", 3100), ("t2.xlarge", 3100)),
        (_T2_XLARGE,),
        Serverless("lambda", 3.0, 56.0, 1000),
        3.0,
        (
            _STANDBY_NOTE,
            "assumed: Lambda takes 56 ms, as much longer than c5.large as for Inception-v3 (1.8 times, c5.large being "
            "1.6 times slower than c5.xlarge), at $3.0 a million; t2.xlarge bursts at the speed of c5.xlarge",
        ),
    ),
    "paper/opennmt-ende": PaperService(
        {
            "c5.xlarge": _batched(40, (1, 1.1)),
            "c5.2xlarge": _batched(54, (1, 1.1)),
            "c5.4xlarge": _batched(75, (1, 1)),
            "p2.xlarge": _batched(80, (1, 1.1, 1.1, 1.2)),
        },
        (),
        None,
        0.5,
        (
            "assumed: batches on c5.2xlarge grow as those on c5.xlarge do",
            "no burstable is fast enough to stand by: t2.medium takes 2200 ms",
        ),
    ),
}  # fmt: skip


def paper_service(scenario: str) -> PaperService:
    """What serves a built-in scenario, by its name."""
    return _SERVICES[scenario]
