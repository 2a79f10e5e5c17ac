"""The demo from end to end, with a model that needs no training."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mark.config import load_config
from mark.demo import run
from mark.demo.digits_model import DigitsModel
from mark.demo.run import DemoParams, run_demo


def linear_model(path: Path) -> DigitsModel:
    import torch

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
    images = np.random.default_rng(1).random((20, 1, 8, 8), dtype=np.float32)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(model, torch.zeros(1, 1, 8, 8)), str(path))
        logits = model(torch.from_numpy(images)).numpy()
    return DigitsModel(path, images, logits, accuracy=0.1)


@pytest.mark.slow
async def test_it_serves_checks_every_answer_and_leaves_a_file_to_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "train_digits_model", linear_model)

    report = await run_demo(DemoParams(tmp_path, duration_s=2.0, peak_per_s=40.0), Console(quiet=True))

    assert report.answers_wrong == 0
    assert report.answered > 20
    assert report.cost_usd > 0
    assert report.picture.read_bytes().startswith(b"\x89PNG")
    served = load_config(tmp_path / "demo.yaml")
    assert served.server.port == 8001  # though the demo itself took a free one
    assert set(served.models[0].profiles) == {"small", "large", "small-spot", "small-burst"}


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_on_aws_the_bill_is_right_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "train_digits_model", linear_model)

    report = await run_demo(DemoParams(tmp_path, duration_s=10.0, peak_per_s=40.0, provider="aws"), Console(quiet=True))

    assert report.answers_wrong == 0
    assert report.answered > 100
    assert report.aws is not None
    assert report.aws.left == ()
    assert report.aws.record_usd > 0
    assert report.aws.kept
    assert report.as_dict()["aws"]["launches"] > 0
