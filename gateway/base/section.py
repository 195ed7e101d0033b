"""What every section of the settings is made of: the kinds of values, their limits, and what no section takes."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1024)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Share = Annotated[float, Field(ge=0, le=1)]
Coins = Annotated[Decimal, Field(gt=0, le=21_000_000, decimal_places=8)]
"""BCH; one has 100,000,000 satoshi."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


SECRETS = frozenset({"password", "password_hash", "wallet_password", "token", "secret"})
"""Keys whose value may come from a file named by KEY_file."""


class FromEnvironment(str):
    """A text with a variable filled in; the environment knows nothing but text, so it may stand for a number."""

    __slots__ = ()


class Section(BaseModel):
    """What all sections share: no unknown keys, no changes after loading, nothing taken for another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _types_are_meant(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true for 1, 1 for true, and "1" for either."""
        field = str(info.field_name)
        annotation = cls.model_fields[field].annotation
        is_text = isinstance(value, str) and not isinstance(value, FromEnvironment)
        if annotation is bool and (is_text or (isinstance(value, int | float) and not isinstance(value, bool))):
            raise PydanticCustomError("bool_type", "must be true or false")
        if annotation in NUMBERS and (is_text or isinstance(value, bool)):
            whole = annotation in (int, int | None)
            raise PydanticCustomError("int_type" if whole else "float_type", "must be a number")
        return str(value) if isinstance(value, FromEnvironment) else value


NUMBERS = (int, float, int | None, float | None)
"""How the fields that hold a number are annotated, once pydantic has taken their limits off."""
