"""Writes `python/driftgate/_api_types.py`, the types of the HTTP API's bodies, from `docs/reference/openapi.json`.

With `--check` it writes nothing, and exits with 1 where the file differs.
"""

from __future__ import annotations

import json
import keyword
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "python/driftgate/_api_types.py"
HEAD = '''"""Bodies of the HTTP API, as `docs/reference/openapi.json` describes them.

Written by `tests/python/types_of_api.py`. Do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Optional, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import NotRequired

'''
# What JSON's types are in Python.
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def type_of(schema: dict[str, Any]) -> str:
    """A schema as an annotation."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return union([type_of(one) for one in schema[key]])
    if "allOf" in schema:
        return "dict[str, Any]"
    kinds = schema.get("type", [])
    return union([of_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def of_kind(kind: str, schema: dict[str, Any]) -> str:
    if kind == "array":
        return f"list[{type_of(schema.get('items', {}))}]"
    if kind == "object":
        of = schema.get("additionalProperties")
        return f"dict[str, {type_of(of)}]" if isinstance(of, dict) else "dict[str, Any]"
    return SCALARS[kind]


def union(types: list[str]) -> str:
    types = list(dict.fromkeys(types))
    others = [one for one in types if one != "None"]
    if not others:
        return types[0] if types else "Any"
    whole = others[0] if len(others) == 1 else f"Union[{', '.join(others)}]"
    return f"Optional[{whole}]" if "None" in types and whole != "Any" else whole


def parts(schema: dict[str, Any], schemas: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The properties of an object and of those that it is made of, and which of them are always there."""
    if "$ref" in schema:
        return parts(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    properties, required = dict(schema.get("properties", {})), set(schema.get("required", []))
    for one in schema.get("allOf", []):
        more, needed = parts(one, schemas)
        properties, required = {**properties, **more}, required | needed
    return properties, required


def definition(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    properties, required = parts(schema, schemas)
    if not properties or not all(key.isidentifier() and not keyword.iskeyword(key) for key in properties):
        if properties:
            # A key such as `for` is written in the other form, in which annotations are texts.
            fields = ", ".join(f'"{key}": {json.dumps(type_of(of))}' for key, of in sorted(properties.items()))
            return f'{name} = TypedDict("{name}", {{{fields}}}, total=False)\n'
        said = type_of(schema)
        # Read when the module is, on Python 3.9, too.
        return f"{name} = {said}\n"
    lines = [f"class {name}(TypedDict):"]
    said = " ".join(schema.get("description", "").split())
    if said:
        lines.append(f'    """{said}"""\n')
    for key, of in sorted(properties.items()):
        said = type_of(of)
        lines.append(f"    {key}: {said if key in required else f'NotRequired[{said}]'}")
    return "\n".join(lines) + "\n"


def written() -> str:
    schemas = json.loads((ROOT / "docs/reference/openapi.json").read_text(encoding="utf-8"))["components"]["schemas"]
    # Aliases are evaluated, and stand behind what they name.
    kinds = {name: definition(name, schema, schemas) for name, schema in sorted(schemas.items())}
    classes = [text for text in kinds.values() if text.startswith("class ")]
    aliases = [text for text in kinds.values() if not text.startswith("class ")]
    return HEAD + "\n" + "\n\n".join(classes) + "\n\n" + "\n".join(aliases)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if OUT.read_text(encoding="utf-8") == written() else f"{OUT} differs: run {Path(__file__).name}")
    OUT.write_text(written(), encoding="utf-8")
