"""What the MArk paper published, re-typed.

Source: Zhang, Yu, Wang, Yan: MArk: Exploiting Cloud Services for Cost-Effective, SLO-Aware Machine Learning Inference
Serving, USENIX ATC 2019. Figures 1, 2, 6, 7 and 8 were digitised: about 1 %, or 5 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BATCHES",
    "BATCH_COSTS",
    "BATCH_LATENCIES",
    "BATCH_LIMITS",
    "INTERRUPTIONS",
    "MEANS_MS",
    "MISSES",
    "SERVICES",
    "SIZES",
    "SURGES",
    "TWITTER_USD",
    "Interrupted",
    "Misses",
    "Surged",
]

# Table 5: dollars for one run of about 490 minutes of the Twitter trace, by model and policy.
TWITTER_USD = {
    "inception-v3": {"mark": 22.28, "mark-spot": 13.03, "sagemaker": 80.98},
    "nasnet": {"mark": 24.40, "mark-spot": 11.52, "sagemaker": 68.1},
    "lstm-ptb": {"mark": 6.17, "mark-spot": 2.28, "sagemaker": 14.9},
    "opennmt-ende": {"mark": 27.66, "mark-spot": 11.12, "sagemaker": 87.1},
}

# Figure 6: mean latency on the Twitter trace.
MEANS_MS = {
    "inception-v3": {"mark": 185.0, "mark-spot": 173.0, "sagemaker": 430.0},
    "nasnet": {"mark": 645.0, "mark-spot": 623.0, "sagemaker": 950.0},
    "lstm-ptb": {"mark": 26.0, "mark-spot": 26.0, "sagemaker": 53.0},
    "opennmt-ende": {"mark": 984.0, "mark-spot": 952.0, "sagemaker": 1217.0},
}


@dataclass(frozen=True, slots=True)
class Misses:
    """Figure 7: share of the requests above RT_max, in per cent; None where it was not measured."""

    mark_twitter: float
    sagemaker_twitter: float
    mark_mmpp: float
    sagemaker_mmpp: float | None = None


MISSES = {
    "inception-v3": Misses(0.88, 3.89, 0.01, 31.72),
    "nasnet": Misses(0.0, 10.41, 0.01),
    "lstm-ptb": Misses(1.63, 1.63, 0.11),
    "opennmt-ende": Misses(0.0, 10.8, 0.0),
}


@dataclass(frozen=True, slots=True)
class Surged:
    """Figures 8a to c: mean latency before a surge and at its worst, and minutes until it is back to normal."""

    base_ms: float
    peak_ms: float
    recovered_min: float


# By rise of the load and policy; the bases are the middles of "about 18-23 ms" and "about 43 ms".
SURGES = {
    (0.5, "mark"): Surged(20.0, 38.0, 7.0),
    (0.75, "mark"): Surged(20.0, 40.0, 5.0),
    (1.0, "mark"): Surged(20.0, 92.0, 5.0),
    (0.5, "sagemaker"): Surged(43.0, 82.0, 15.0),
    (0.75, "sagemaker"): Surged(43.0, 127.0, 15.0),
    (1.0, "sagemaker"): Surged(43.0, 223.0, 15.0),
}


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Figure 8d: mean latency before an interruption and while standbys serve, and minutes until spot is back."""

    before_ms: float
    bridged_ms: float
    back_min: float


INTERRUPTIONS = {
    0.2: Interrupted(195.0, 169.0, 6.0),
    0.4: Interrupted(195.0, 167.0, 6.0),
    0.8: Interrupted(195.0, 158.0, 6.0),
}

# Tables 2 and 3: dollars for a million requests and mean latency, by model and service.
SERVICES = {
    "inception-v3": {
        "c5.large": (5.0, 210.0),
        "fargate.2vcpu": (9.17, 217.0),
        "lambda": (19.0, 380.0),
        "t2.medium": (1.81, 140.37),
    },
    "opennmt-ende": {
        "c5.large": (51.5, 2180.0),
        "fargate.2vcpu": (96.3, 2280.0),
        "lambda": (155.0, 3100.0),
        "t2.medium": (28.36, 2200.0),
    },
}

# Figure 1: cost and latency of larger c5 relative to c5.large.
SIZES = {
    "inception-v3": {"c5.xlarge": (1.19, 0.59), "c5.2xlarge": (1.40, 0.35), "c5.4xlarge": (1.88, 0.23)},
    "opennmt-ende": {"c5.xlarge": (1.28, 0.64), "c5.2xlarge": (1.47, 0.47), "c5.4xlarge": (3.26, 0.43)},
}

# Figure 2: latency of a batch, and cost of a request in it, relative to a single one.
BATCHES = (1, 2, 4, 8, 16, 32)
BATCH_LATENCIES = {
    ("inception-v3", "p2.xlarge"): (1.0, 1.4, 2.2, 2.7, 4.3, 7.1),
    ("opennmt-ende", "c5.xlarge"): (1.0, 1.1, 1.4, 2.0, 3.1, 5.5),
    ("opennmt-ende", "c5.4xlarge"): (1.0, 1.0, 1.2, 1.4, 2.1, 3.3),
    ("opennmt-ende", "p2.xlarge"): (1.0, 1.1, 1.1, 1.2, 1.4, 2.0),
}
BATCH_COSTS = {
    ("inception-v3", "p2.xlarge"): (1.0, 0.62, 0.45, 0.39, 0.32, 0.31),
    ("opennmt-ende", "c5.xlarge"): (1.0, 0.55, 0.35, 0.25, 0.21, 0.17),
    ("opennmt-ende", "c5.4xlarge"): (1.0, 0.48, 0.30, 0.17, 0.13, 0.10),
    ("opennmt-ende", "p2.xlarge"): (1.0, 0.52, 0.28, 0.15, 0.09, 0.06),
}

# Section 5.1: N_batch and W_batch in milliseconds; None where only N_batch is given.
BATCH_LIMITS: dict[tuple[str, str], tuple[int, float | None]] = {
    ("inception-v3", "p2.xlarge"): (8, 200.0),
    ("nasnet", "p2.xlarge"): (16, 750.0),
    ("opennmt-ende", "p2.xlarge"): (16, 490.0),
    ("opennmt-ende", "c5.xlarge"): (2, None),
    ("opennmt-ende", "c5.4xlarge"): (2, None),
}
