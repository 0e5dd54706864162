"""Every kind of difference between two JSON Schemas, whether it breaks, and the sentence that says why: a table.

The names and the division into breaking and harmless are those of Confluent's Schema Registry for JSON Schema, so
that what passes here passes there. All are told from the side of the reader: the writer's schema is the one that
data was written by, the reader's is the one that shall read it. What a reader takes in addition is harmless; what it
takes no longer breaks.

In a sentence `{data}` and `{reader}` say who is concerned, `{writes}` and `{reads}` are the two values.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """Whether a difference of this kind lets old data through, and the sentence for it."""

    compatible: bool
    sentence: str


def _fine(sentence: str) -> Kind:
    return Kind(True, sentence)


def _break(sentence: str) -> Kind:
    return Kind(False, sentence)


def _upper(name: str, what: str, unit: str) -> dict[str, Kind]:
    """The four kinds of an upper limit, such as maxLength."""
    return {
        f"{name}_ADDED": _break(
            f"{{data}} may have {what} of any size here; {{reader}} takes at most {{reads}}{unit}."
        ),
        f"{name}_DECREASED": _break(
            f"{{data}} may have {what} up to {{writes}}{unit} here; {{reader}} takes at most {{reads}}."
        ),
        f"{name}_INCREASED": _fine("{reader} takes more than {data} can have."),
        f"{name}_REMOVED": _fine("{reader} no longer has this limit."),
    }


def _lower(name: str, what: str, unit: str) -> dict[str, Kind]:
    """The four kinds of a lower limit, such as minLength."""
    return {
        f"{name}_ADDED": _break(
            f"{{data}} may have {what} of any size here; {{reader}} wants at least {{reads}}{unit}."
        ),
        f"{name}_INCREASED": _break(
            f"{{data}} may have {what} from {{writes}}{unit} on here; {{reader}} wants at least {{reads}}."
        ),
        f"{name}_DECREASED": _fine("{reader} takes less than {data} must have."),
        f"{name}_REMOVED": _fine("{reader} no longer has this limit."),
    }


def _rest(name: str, thing: str) -> dict[str, Kind]:
    """The four kinds of what is said of all things that are not named."""
    return {
        f"{name}_REMOVED": _break(f"{{data}} may have {thing} that the schema does not name; {{reader}} takes none."),
        f"{name}_NARROWED": _break(
            f"{{data}} may have {thing} of any kind that the schema does not name; {{reader}} takes only {{reads}}."
        ),
        f"{name}_ADDED": _fine(f"{{reader}} takes {thing} that are not named; {{data}} has none."),
        f"{name}_EXTENDED": _fine(f"{{reader}} takes {thing} of any kind where the schema does not name them."),
    }


KINDS: Final[dict[str, Kind]] = {
    # Words about the schema: they bind nobody.
    "ID_CHANGED": _fine("The schema has another id; that binds no data."),
    "TITLE_CHANGED": _fine("Another title binds no data."),
    "DESCRIPTION_CHANGED": _fine("Another description binds no data."),
    "DEFAULT_CHANGED": _fine("Another default binds no data; a reader that fills it in reads another value."),
    # Types
    "SCHEMA_ADDED": _break("{data} may have anything here; {reader} takes only {reads}."),
    "SCHEMA_REMOVED": _fine("{reader} takes anything here."),
    "TYPE_EXTENDED": _fine("{reader} takes any number, also a whole one."),
    "TYPE_NARROWED": _break("{data} may have a number with a fraction here; {reader} takes only whole ones."),
    "TYPE_CHANGED": _break("{data} has {writes} here; {reader} takes {reads}."),
    # Strings
    **_upper("MAX_LENGTH", "text", " characters"),
    **_lower("MIN_LENGTH", "text", " characters"),
    "PATTERN_ADDED": _break("{data} may have any text here; {reader} takes only what fits {reads}."),
    "PATTERN_CHANGED": _break(
        "{data} fits {writes} here; {reader} wants {reads}, and whether all that fits the one fits the other is not known."
    ),
    "PATTERN_REMOVED": _fine("{reader} takes any text here."),
    # Numbers
    **_upper("MAXIMUM", "numbers", ""),
    **_lower("MINIMUM", "numbers", ""),
    **_upper("EXCLUSIVE_MAXIMUM", "numbers", " (exclusive)"),
    **_lower("EXCLUSIVE_MINIMUM", "numbers", " (exclusive)"),
    "MULTIPLE_OF_ADDED": _break("{data} may have any number here; {reader} takes only multiples of {reads}."),
    "MULTIPLE_OF_EXPANDED": _break("{data} has multiples of {writes} here; {reader} takes only those of {reads}."),
    "MULTIPLE_OF_CHANGED": _break("{data} has multiples of {writes} here; {reader} takes only those of {reads}."),
    "MULTIPLE_OF_REDUCED": _fine("Every multiple of {writes} is one of {reads}."),
    "MULTIPLE_OF_REMOVED": _fine("{reader} takes any number here."),
    # Objects: what must be there
    "REQUIRED_ATTRIBUTE_ADDED": _break("{data} may lack this property; {reader} requires it."),
    "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED": _fine("{data} may lack this property; {reader} has a default for it."),
    "REQUIRED_ATTRIBUTE_REMOVED": _fine("{reader} no longer requires this property."),
    # Objects: properties in open, closed and partially open content
    "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL": _break(
        "The writer's schema is open: {data} may have anything under this name; {reader} takes only {reads}."
    ),
    "PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL": _fine("{reader} takes anything under this name."),
    "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL": _break(
        "{data} does not have this property; {reader} requires it."
    ),
    "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL": _fine(
        "{data} does not have this property; {reader} has a default for it."
    ),
    "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL": _fine("{reader} knows this property and can do without it."),
    "PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL": _fine("{reader} takes properties that it does not know."),
    "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL": _break(
        "{data} may have this property; {reader} is closed: it takes no property that it does not know."
    ),
    "PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL": _fine("{data} never has this property."),
    "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _fine(
        "What {data} may have under this name, {reader} takes."
    ),
    "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _break(
        "{data} may have {writes} under this name; {reader} takes {reads}."
    ),
    "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _fine(
        "What {data} has under this name fits what {reader} takes of properties that it does not name."
    ),
    "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _break(
        "{data} has {writes} under this name; of properties that it does not name, {reader} takes {reads}."
    ),
    **_rest("ADDITIONAL_PROPERTIES", "properties"),
    **_rest("UNEVALUATED_PROPERTIES", "properties"),
    **_upper("MAX_PROPERTIES", "properties", ""),
    **_lower("MIN_PROPERTIES", "properties", ""),
    "DEPENDENCY_ARRAY_ADDED": _break("{data} may have this property alone; {reader} wants {reads} with it."),
    "DEPENDENCY_ARRAY_EXTENDED": _break("{data} has {writes} with this property; {reader} wants {reads}."),
    "DEPENDENCY_ARRAY_CHANGED": _break("{data} has {writes} with this property; {reader} wants {reads}."),
    "DEPENDENCY_ARRAY_NARROWED": _fine("{reader} wants less with this property."),
    "DEPENDENCY_ARRAY_REMOVED": _fine("{reader} takes this property alone."),
    "DEPENDENCY_SCHEMA_ADDED": _break("{data} may have anything with this property; {reader} wants {reads}."),
    "DEPENDENCY_SCHEMA_REMOVED": _fine("{reader} takes anything with this property."),
    # Arrays
    **_upper("MAX_ITEMS", "items", ""),
    **_lower("MIN_ITEMS", "items", ""),
    **_upper("MAX_CONTAINS", "fitting items", ""),
    **_lower("MIN_CONTAINS", "fitting items", ""),
    "UNIQUE_ITEMS_ADDED": _break("{data} may have an item twice; {reader} takes each once."),
    "UNIQUE_ITEMS_REMOVED": _fine("{reader} takes an item twice as well."),
    **_rest("ADDITIONAL_ITEMS", "items"),
    **_rest("UNEVALUATED_ITEMS", "items"),
    "ITEM_ADDED_TO_OPEN_CONTENT_MODEL": _break(
        "The writer's list is open: {data} may have anything at this place; {reader} takes only {reads}."
    ),
    "ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL": _fine("{reader} takes anything at this place."),
    "ITEM_ADDED_TO_CLOSED_CONTENT_MODEL": _fine("{data} has no item at this place."),
    "ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL": _fine("{reader} takes items that it does not know."),
    "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL": _break(
        "{data} may have an item at this place; {reader} is closed: it takes none that it does not know."
    ),
    "ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL": _fine("{data} never has an item at this place."),
    "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _fine(
        "What {data} may have at this place, {reader} takes."
    ),
    "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _break(
        "{data} may have {writes} at this place; {reader} takes {reads}."
    ),
    "ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _fine(
        "What {data} has at this place fits what {reader} takes of further items."
    ),
    "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": _break(
        "{data} has {writes} at this place; of further items, {reader} takes {reads}."
    ),
    # Values
    "ENUM_ARRAY_EXTENDED": _fine("{reader} takes more values."),
    "ENUM_ARRAY_NARROWED": _break("{data} may have a value that {reader} takes no longer: {lost}."),
    "ENUM_ARRAY_CHANGED": _break("{data} may have a value that {reader} does not take: {lost}."),
    # Combinations: allOf is a product type, anyOf and oneOf are sum types
    "COMBINED_TYPE_EXTENDED": _fine("{reader} asks for one of them where all or exactly one had to fit."),
    "COMBINED_TYPE_CHANGED": _break(
        "{data} was written by {writes}; {reader} asks for {reads}, which is another question."
    ),
    "COMBINED_TYPE_SUBSCHEMAS_CHANGED": _break(
        "{data} may fit a part that has no counterpart here: {reader} combines other parts."
    ),
    "PRODUCT_TYPE_EXTENDED": _break("{data} meets {writes}; {reader} wants {reads}: more at once."),
    "PRODUCT_TYPE_NARROWED": _fine("{reader} wants fewer conditions met at once."),
    "SUM_TYPE_EXTENDED": _fine("{reader} takes more kinds of data here."),
    "SUM_TYPE_NARROWED": _break("{data} may be {writes} here; {reader} takes only {reads}."),
    "NOT_TYPE_EXTENDED": _break("{reader} forbids more than {data} had to keep away from."),
    "NOT_TYPE_NARROWED": _fine("{reader} forbids no more than before."),
}


def is_compatible(kind: str) -> bool:
    """Whether a difference of this kind lets old data through."""
    return KINDS[kind].compatible
