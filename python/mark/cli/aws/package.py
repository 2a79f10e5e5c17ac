"""`mark aws package`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from mark.app.extra import needs_extra
from mark.cli.aws.options import ConfigPath
from mark.config import ModelConfig, load_config, model_of
from mark.domain.artifact import ModelArtifact
from mark.errors import ConfigError

__all__ = ["package"]

_EXTRAS = {"torchscript": "[torch]", "onnx": "[onnx]", "python": ""}


def package(
    config: ConfigPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip; with --image, a folder.")],
    model: Annotated[str | None, typer.Option(help="Of the configuration, where it has several.")] = None,
    site: Annotated[
        Path | None, typer.Option(help="What pip install --target filled, instead of what is installed here.")
    ] = None,
    *,
    image: Annotated[bool, typer.Option("--image", help="Write the recipe of a container image instead.")] = False,
) -> None:
    """Write the code of a model's function: a zip for serverless.package, or the recipe of a container image.

    `mark serve` makes the zip itself where the configuration gives neither. An image is for what does not fit into a
    zip, such as torch; it is built and pushed by a container engine, and serverless.image names it. The model is in
    both; a later one is fetched from the cluster's bucket.

    Example: mark aws package mark.yaml --image -o function/
    """
    settings = load_config(config)
    chosen = model_of(str(config), settings, model)
    artifact = chosen.artifact()
    if artifact is None:
        raise ConfigError(f"model {chosen.name!r} is served by foreign workers: there is nothing to package")
    if image:
        install = settings.aws.install if settings.aws is not None else None
        _write_recipe(artifact, install or f"mark-serve{_EXTRAS[artifact.runtime]}", output)
        typer.echo(f"{output / 'Dockerfile'}: its first lines say how to build and push it")
    else:
        _write_zip(chosen, artifact, output, site)


def _write_zip(model: ModelConfig, artifact: ModelArtifact, output: Path, site: Path | None) -> None:
    include = model.serverless.include if model.serverless is not None else []
    with needs_extra():
        from mark.cloud.aws.function_package import build_zip
    if site is not None and not site.is_dir():
        raise ConfigError(f"--site {site}: no such folder; pip install --target {site} mark-serve makes it")
    made = build_zip(artifact, output, include, site)
    typer.echo(f"{output}: {made.size_bytes / 1e6:.1f} MB for {made.runtime} on {made.architecture}, {made.sha256}")


def _write_recipe(artifact: ModelArtifact, install: str, output: Path) -> None:
    with needs_extra():
        from mark.cloud.aws.function_package import image_recipe
    for name, part in image_recipe(artifact, install).items():
        path = output / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(part, Path):
                shutil.copyfile(part, path)
            else:
                path.write_text(part, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
