"""Whether one JSON Schema can follow another: the rules of Confluent's Schema Registry for JSON Schema, draft 4 to 2020-12.

    breaks = compare(old, new, Mode.BACKWARD)      what breaks the mode; an empty list is compatible
    all_of_them = differences(old, new)            the harmless ones as well

Schemas are plain values, or come from `contracts/schema_files.py`. docs/contracts-compatibility.md tells the rules.
"""

from interlock.contracts.compatibility.modes import Break, Difference, Direction, Mode, compare, differences
from interlock.contracts.compatibility.schema import Schema, schema_of

__all__ = ["Break", "Difference", "Direction", "Mode", "Schema", "compare", "differences", "schema_of"]
