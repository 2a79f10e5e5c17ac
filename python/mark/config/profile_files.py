"""Profiles that a configuration does not spell out, but names a file for: what `mark profile -o` writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mark.config.sections import Config
from mark.domain.measured_profile import MeasuredModel
from mark.domain.profile_text import measured_model_from_json
from mark.errors import ConfigError, ProfileError

__all__ = ["ProfileFile", "read_measured_model", "take_profile_files", "with_profile_files"]

_FILE_BYTES_MAX = 16 << 20
_MEND = "measure again with `mark profile`, or give the points themselves"


@dataclass(slots=True)
class ProfileFile:
    """A file that stands where points could.

    Attributes:
        model: index of the model that it is given for.
        offering: that it is given for.
        path: as it is written.
        where: the place in the configuration, for messages.
    """

    model: int
    offering: str
    path: str
    where: str = ""


def take_profile_files(data: dict[str, Any]) -> list[ProfileFile]:
    """Take the paths out of a configuration that was not checked yet: points that are missing are none that are wrong.

    What is neither a path nor points is left for the check to refuse.
    """
    taken = []
    models = data.get("models")
    for index, model in enumerate(models if isinstance(models, list) else ()):
        profiles = model.get("profiles") if isinstance(model, dict) else None
        if not isinstance(profiles, dict):
            continue
        paths = {name: value for name, value in profiles.items() if isinstance(value, str) and value}
        taken += [ProfileFile(index, str(name), path) for name, path in paths.items()]
        # Not taken out of the mapping itself, which another model may share by an anchor.
        model["profiles"] = {name: value for name, value in profiles.items() if name not in paths}
    return taken


def with_profile_files(config: Config, files: Sequence[ProfileFile], folder: Path) -> Config:
    """The configuration with the points of the files in their places.

    Raises:
        ConfigError: a file is given for what is no offering.
        ProfileError: a file cannot be read, is no profile, or is one of another model or another kind of worker.
    """
    offerings = {offering.name: offering.as_offering() for offering in config.offerings}
    models = list(config.models)
    for file in files:
        model, offering = models[file.model], offerings.get(file.offering)
        if offering is None:
            raise ConfigError(f"{file.where}: {file.offering!r} is no offering; known are {', '.join(offerings)}")
        path = folder / file.path
        measured = read_measured_model(path, f"{file.where}: ")
        try:
            measured.check_model(model.signature())
            profile = measured.profile_for(offering)
        except ValueError as error:
            raise ProfileError(f"{file.where}: {path}: {error}; {_MEND}") from error
        points = [(point.rows, point.latency_ms) for point in profile.points]
        models[file.model] = model.model_copy(update={"profiles": {**model.profiles, file.offering: points}})
    return config.model_copy(update={"models": models})


def read_measured_model(path: Path, where: str = "") -> MeasuredModel:
    """Read a file of measured profiles.

    Args:
        path: of the file.
        where: what to say before the path in a message.

    Raises:
        ProfileError: it cannot be read, or is no such file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ProfileError(f"{where}{path}: cannot be read: {error.strerror}; {_MEND}") from error
    try:
        if len(content) > _FILE_BYTES_MAX:
            raise ValueError(f"is no profile: it has more than {_FILE_BYTES_MAX} bytes")
        return measured_model_from_json(content.decode("utf-8"))
    except ValueError as error:  # a UnicodeDecodeError is one, too
        said = "is no profile: it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
        raise ProfileError(f"{where}{path}: {said}; {_MEND}") from error
