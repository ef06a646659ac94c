"""What plant.yaml may say to save writing: tag lists and device templates. `plant/config_expand.py` resolves it.

Nothing else in the program sees these: a `PlantConfig` holds every machine with all its tags.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from plant.config import MachineConfig, Name, PartsConfig, PlantConfig, Section, StateConfig
from plant.tags import TagFields


class TemplateConfig(Section):
    """A device profile that several machines use. Its tags need no source: that is each machine's own."""

    tags: dict[Name, TagFields] = Field(default_factory=dict, description="The signals by name, as under a machine")
    tag_list: str | None = Field(None, description="More of them in a file, CSV or XLSX; path relative to plant.yaml")
    states: StateConfig | None = Field(None, description="For machines that do not give their own")
    parts: PartsConfig | None = Field(None, description="For machines that do not give their own")
    chart: list[str] = Field(default_factory=list, description="For machines that do not give their own")


class MachineTags(Section):
    """Where a machine's tags come from, besides its `tags:`."""

    tag_list: str | None = Field(
        None, description="File with a row per tag, CSV or XLSX; path relative to plant.yaml. See docs/tag-lists.md"
    )
    template: str | None = Field(
        None, description="Name of a template (under `templates`); a tag written here changes the fields it gives"
    )
    source: str | None = Field(None, description="Source of every tag of this machine that names none")
    address_offset: Annotated[int, Field(ge=-65_535, le=65_535)] = Field(
        0, description="Added to the Modbus addresses of the template's tags"
    )
    topic_prefix: Annotated[str, Field(pattern=r"^[^#+\s]*[^#+\s/]$")] | None = Field(
        None, description="Put before the MQTT topics of the template's tags, with a / between"
    )
    tag_defaults: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields for every tag of this machine that does not give them itself, such as {poll_s: 5}",
    )


class PlantTags(Section):
    """Where many machines' tags come from: these stand at the top of the file."""

    tag_lists: list[str] = Field(
        default_factory=list,
        description="Files with a row per tag and a column machine, CSV or XLSX; paths relative to plant.yaml",
    )
    templates: dict[Name, TemplateConfig] = Field(default_factory=dict, description="Device profiles by name")


BESIDE: dict[type[BaseModel], type[BaseModel]] = {PlantConfig: PlantTags, MachineConfig: MachineTags}
"""What else may be written where a model's own fields are."""
