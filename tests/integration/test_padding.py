"""A router whose model is sent batches of certain sizes alone, and says which it got."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from integration.router_process import RouterProcess

from mark import Client
from mark.errors import InvalidRequest

# It refuses what it was not compiled for, as an engine with fixed shapes would, when it is warmed up too.
MODEL = '''
import numpy as np

SIZES = (3, 4, 8)


class Compiled:
    """Doubles numbers and repeats words; notes the rows of each batch in the file `sizes.txt` beside it."""

    def __call__(self, inputs):
        x, words = inputs["x"], inputs["words"]
        with open(__file__ + ".sizes", "a") as file:
            print(len(x), file=file)
        if len(x) not in SIZES:
            raise ValueError(f"compiled for {SIZES}, not {len(x)}")
        return {"y": x * np.float32(2), "twice": np.array([word + word for word in words], dtype=object)}


def make():
    return Compiled()
'''

CONFIG = """\
server: {port: 0, drain_s: 5}
offerings:
  - {name: small, price_usd_per_hour: 0.1, max_count: 1}
models:
  - name: compiled
    runtime: python
    source: compiled_model:make
    inputs: [{name: x, datatype: FP32, shape: [-1, 2]}, {name: words, datatype: BYTES, shape: [-1]}]
    outputs: [{name: y, datatype: FP32, shape: [-1, 2]}, {name: twice, datatype: BYTES, shape: [-1]}]
    slo: {rt_max_ms: 5000, sl_min: 0.9}
    batching: {sizes: [3, 4, 8], margin_ms: 5}
    controller: {step_s: 1, window_s: 1, horizon_steps: 5, min_instances: 1}
"""


@pytest.fixture
def router(make_router: Callable[..., RouterProcess], tmp_path: Path) -> RouterProcess:
    (tmp_path / "compiled_model.py").write_text(MODEL, encoding="utf-8")
    return make_router(CONFIG)


def status(router: RouterProcess) -> dict[str, str]:
    command = [sys.executable, "-m", "mark", "status", router.address]
    shown = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, timeout=60)
    model: dict[str, str] = json.loads(shown.stdout)["models"][0]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert f"{model['padded_rows']} rows of padding" in " ".join(said.stdout.split())
    return model


def test_it_is_sent_allowed_sizes_alone_and_answers_what_was_asked(router: RouterProcess, tmp_path: Path) -> None:
    """Measured, warmed up and served: one row of another number, and a worker would not even have started."""
    drawn = np.random.default_rng(7)
    asked = [drawn.normal(size=(int(rows), 2)).astype(np.float32) for rows in drawn.integers(1, 9, size=60)]
    sizes_file = tmp_path / "compiled_model.py.sizes"
    before = len(sizes_file.read_text(encoding="utf-8").split())

    with Client(router.address) as client, ThreadPoolExecutor(8) as threads:

        def infer(numbers: np.ndarray) -> dict[str, np.ndarray]:
            words = np.array([f"{value:.3f}".encode() for value in numbers[:, 0]], dtype=object)
            return client.infer("compiled", {"x": numbers, "words": words})

        for numbers, answer in zip(asked, threads.map(infer, asked), strict=True):
            np.testing.assert_array_equal(answer["y"], 2 * numbers)
            assert answer["twice"].tolist() == [2 * f"{value:.3f}".encode() for value in numbers[:, 0]]
        with pytest.raises(InvalidRequest, match="9 rows, more than the 8"):
            infer(np.ones((9, 2), np.float32))

    sent = [int(rows) for rows in sizes_file.read_text(encoding="utf-8").split()]
    assert set(sent) <= {3, 4, 8}
    real = sum(len(numbers) for numbers in asked)
    model = status(router)
    assert int(model["padded_rows"]) == sum(sent[before:]) - real > 0
    assert round(float(model["rows_per_batch"]) * int(model["batches"])) == real
