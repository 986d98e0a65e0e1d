"""Vectors of doubles inside numba's compiled functions: W numbers side by side, with one instruction per operation.

LLVM's own vectoriser is not used: on long loop bodies it gives up silently, and the code is four times slower.

A `Rows` is a view of a contiguous float64 array [rows, W]; its type carries W, and so does everything read from it:

    @numba.njit
    def double(array):
        rows = as_rows(array, 8)  # a literal, or a variable that a closure keeps
        rows[0] = 2.0 * rows[0]  # 8 lanes at once; nothing checks the bounds

Lanes take `+ - * /`, `-x`, `abs`, comparisons, `floor`, `sqrt`, `select`, `minimum`, `maximum`, with one another and
with plain numbers, which are copied to every lane; masks, from comparisons, take `& | ^ ~`. No fast-math flag is ever
set: each lane rounds by IEEE 754, whatever W and the other lanes are.

Imports numba, so modules that must import quickly do not import this file.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

_BYTES = 8
_kinds: Any = types  # with names that are missing in numba's stubs


class Lanes(types.Type):
    """The type of a vector of `width` doubles."""

    def __init__(self, width: int) -> None:
        super().__init__(name=f"Lanes({width})")
        self.width = width

    @property
    def vector(self) -> ir.VectorType:
        """Its type in LLVM."""
        return ir.VectorType(ir.DoubleType(), self.width)


class Mask(types.Type):
    """The type of a vector of `width` booleans."""

    def __init__(self, width: int) -> None:
        super().__init__(name=f"Mask({width})")
        self.width = width


class Rows(types.Type):
    """The type of a pointer to rows of `width` doubles each."""

    def __init__(self, width: int) -> None:
        super().__init__(name=f"Rows({width})")
        self.width = width


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, kind.vector)


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Mask) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), kind.width))


@register_model(Rows)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Rows) -> None:
        super().__init__(manager, kind, ir.DoubleType().as_pointer())


def _lanes_of(*kinds: types.Type) -> Lanes | None:
    """Return the type of lanes that an operation on these types returns; None if none of them is lanes."""
    widths = {kind.width for kind in kinds if isinstance(kind, Lanes)}
    rest = [kind for kind in kinds if not isinstance(kind, Lanes)]
    if len(widths) != 1 or not all(isinstance(kind, types.Float | types.Integer) for kind in rest):
        return None
    return Lanes(widths.pop())


def _spread(context: Any, builder: Any, kind: types.Type, value: Any, lanes: Lanes) -> Any:
    """Return the value as a vector; a plain number goes into every lane."""
    if isinstance(kind, Lanes):
        return value
    number = context.cast(builder, value, kind, types.float64)
    undefined = ir.Constant(lanes.vector, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), lanes.width), [0] * lanes.width)
    return builder.shuffle_vector(builder.insert_element(undefined, number, ir.IntType(32)(0)), undefined, everywhere)


def _define(
    operation: Any, build: Callable[..., Any], result: Callable[[int], types.Type] = Lanes, of_one: bool = False
) -> None:
    """Register an operator on lanes with numba; `build` makes the instruction from the builder and vectors."""

    def typing(_: Any) -> Any:
        def typer(x: types.Type) -> Any:
            return result(x.width) if isinstance(x, Lanes) else None

        def typer_of_two(x: types.Type, y: types.Type) -> Any:
            lanes = _lanes_of(x, y)
            return result(lanes.width) if lanes else None

        return typer if of_one else typer_of_two

    def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lanes = _lanes_of(*signature.args)
        assert lanes is not None  # guaranteed by the typing above
        vectors = [_spread(context, builder, *pair, lanes) for pair in zip(signature.args, values, strict=True)]
        return build(builder, *vectors)

    type_callable(operation)(typing)
    kinds = [(Lanes,)] if of_one else [(Lanes, Lanes), *_mixed()]
    for each in kinds:
        lower_builtin(operation, *each)(lower)


def _mixed() -> list[tuple[type, type]]:
    numbers = (types.Float, types.Integer)
    return [pair for number in numbers for pair in ((Lanes, number), (number, Lanes))]


def _define_mask(operation: Any, build: Callable[..., Any]) -> None:
    def typing(_: Any) -> Any:
        def typer(x: types.Type, y: types.Type) -> Any:
            return x if isinstance(x, Mask) and x == y else None

        return typer

    type_callable(operation)(typing)
    lower_builtin(operation, Mask, Mask)(lambda _context, builder, _signature, values: build(builder, *values))


def _unary_llvm(name: str) -> Callable[..., Any]:
    """Return a builder of LLVM's own function `name` on a vector."""

    def build(builder: Any, x: Any) -> Any:
        kind = ir.FunctionType(x.type, [x.type])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{x.type.count}f64")
        return builder.call(function, [x])

    return build


for _operator, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_operator, lambda builder, x, y, name=_instruction: getattr(builder, name)(x, y))
# Ordered: a comparison with NaN is false, so that a diverged lane ends every loop that waits for it.
for _operator, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    _define(_operator, lambda builder, x, y, sign=_sign: builder.fcmp_ordered(sign, x, y), result=Mask)
_define(operator.neg, lambda builder, x: builder.fneg(x), of_one=True)
_define(abs, _unary_llvm("fabs"), of_one=True)
for _operator, _instruction in ((operator.and_, "and_"), (operator.or_, "or_"), (operator.xor, "xor")):
    _define_mask(_operator, lambda builder, x, y, name=_instruction: getattr(builder, name)(x, y))


@type_callable(operator.invert)
def _type_invert(_context: Any) -> Any:
    def typer(x: types.Type) -> Any:
        return x if isinstance(x, Mask) else None

    return typer


@lower_builtin(operator.invert, Mask)
def _lower_invert(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
    return builder.not_(values[0])


@intrinsic
def floor(_context: Any, x: Any) -> Any:
    """Round each lane down."""
    if not isinstance(x, Lanes):
        raise TypingError(f"floor of {x}; give lanes")
    build = _unary_llvm("floor")
    return x(x), lambda _context, builder, _signature, values: build(builder, *values)


@intrinsic
def sqrt(_context: Any, x: Any) -> Any:
    """Take the square root of each lane, correctly rounded."""
    if not isinstance(x, Lanes):
        raise TypingError(f"sqrt of {x}; give lanes")
    build = _unary_llvm("sqrt")
    return x(x), lambda _context, builder, _signature, values: build(builder, *values)


@intrinsic
def select(_context: Any, mask: Any, x: Any, y: Any) -> Any:
    """Take each lane from `x` where the mask is true, else from `y`; both are lanes or plain numbers."""
    if not isinstance(mask, Mask):
        raise TypingError(f"select by {mask}; give a mask, which comparing lanes gives")
    lanes = Lanes(mask.width)
    if any(isinstance(kind, Lanes) and kind.width != mask.width for kind in (x, y)):
        raise TypingError(f"select by {mask} from {x} and {y}; give one width")

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pairs = zip(signature.args[1:], values[1:], strict=True)
        return builder.select(values[0], *(_spread(context, builder, *pair, lanes) for pair in pairs))

    return lanes(mask, x, y), build


@intrinsic
def minimum(_context: Any, x: Any, y: Any) -> Any:
    """Return the smaller of two in each lane, and `y` where one of them is NaN."""
    return _smaller(x, y, "<")


@intrinsic
def maximum(_context: Any, x: Any, y: Any) -> Any:
    """Return the larger of two in each lane, and `y` where one of them is NaN."""
    return _smaller(x, y, ">")


def _smaller(x: types.Type, y: types.Type, sign: str) -> Any:
    lanes = _lanes_of(x, y)
    if lanes is None:
        raise TypingError(f"the extreme of {x} and {y}; give lanes of one width")

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        first, second = (_spread(context, builder, *pair, lanes) for pair in zip(signature.args, values, strict=True))
        return builder.select(builder.fcmp_ordered(sign, first, second), first, second)

    return lanes(x, y), build


@intrinsic
def ldexp(_context: Any, x: Any, power: Any) -> Any:
    """Return x times two to the `power` in each lane; powers are whole, and the product must be a normal number."""
    if not (isinstance(x, Lanes) and x == power):
        raise TypingError(f"ldexp of {x} and {power}; give lanes of one width")

    def build(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        bits = ir.VectorType(ir.IntType(64), x.width)
        exponent = builder.shl(builder.fptosi(values[1], bits), ir.Constant(bits, [52] * x.width))
        return builder.bitcast(builder.add(builder.bitcast(values[0], bits), exponent), x.vector)

    return x(x, power), build


@intrinsic
def any_of(_context: Any, mask: Any) -> Any:
    """Return whether the mask is true in any lane."""
    if not isinstance(mask, Mask):
        raise TypingError(f"any_of {mask}; give a mask, which comparing lanes gives")
    bits = ir.IntType(mask.width)
    return types.boolean(mask), lambda _context, builder, _signature, values: builder.icmp_unsigned(
        "!=", builder.bitcast(values[0], bits), bits(0)
    )


@intrinsic
def full(_context: Any, like: Any, number: Any) -> Any:
    """Return lanes filled with `number`, as wide as `like`, which is rows or lanes."""
    if not isinstance(like, Rows | Lanes):
        raise TypingError(f"full like {like}; give rows or lanes")
    lanes = Lanes(like.width)
    return lanes(like, number), lambda context, builder, signature, values: _spread(
        context, builder, signature.args[1], values[1], lanes
    )


@intrinsic(prefer_literal=True)
def as_rows(_context: Any, array: Any, width: Any) -> Any:
    """View a contiguous float64 array as rows of `width`, a literal; the array must outlive the view."""
    if not (isinstance(array, types.Array) and array.layout == "C" and array.dtype == types.float64):
        raise TypingError(f"as_rows of {array}; give a contiguous float64 array")
    if not isinstance(width, types.IntegerLiteral):
        raise TypingError(f"as_rows of width {width}; give a number that is known when this is compiled")
    rows = Rows(width.literal_value)
    return (
        rows(array, width),
        lambda context, builder, signature, values: (
            context.make_array(signature.args[0])(context, builder, values[0]).data
        ),
    )


@intrinsic
def below(_context: Any, rows: Any, skipped: Any) -> Any:
    """View the rows after the first `skipped`; or the numbers, where a pointer to some is given."""
    if not (isinstance(rows, Rows | _kinds.CPointer) and isinstance(skipped, types.Integer)):
        raise TypingError(f"the rows of {rows} below {skipped}; give rows or a pointer, and a number")
    return rows(rows, types.intp), _address if isinstance(rows, Rows) else _pointer


@intrinsic
def call_at(_context: Any, address: Any, numbers: Any, *rows: Any) -> Any:
    """Call the compiled function at an address with numbers, a contiguous float64 array or a pointer, and rows."""
    if not all(isinstance(each, Rows) for each in rows):
        raise TypingError(f"call_at with {rows}; give rows")

    def build(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        data = values[1]
        if isinstance(numbers, types.Array):
            data = context.make_array(numbers)(context, builder, data).data
        pointers = [data, *cgutils.unpack_tuple(builder, values[2])]
        kind = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), pointers)
        return context.get_dummy_value()

    return types.void(address, numbers, _kinds.StarArgTuple(rows)), build


@type_callable(operator.getitem)
def _type_getitem(_context: Any) -> Any:
    def typer(rows: types.Type, row: types.Type) -> Any:
        return Lanes(rows.width) if isinstance(rows, Rows) and isinstance(row, types.Integer) else None

    return typer


@lower_builtin(operator.getitem, Rows, types.Integer)
def _lower_getitem(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.load(_vector_pointer(context, builder, signature, values), align=_BYTES)


@type_callable(operator.setitem)
def _type_setitem(_context: Any) -> Any:
    def typer(rows: types.Type, row: types.Type, value: types.Type) -> Any:
        if isinstance(rows, Rows) and isinstance(row, types.Integer) and _lanes_of(Lanes(rows.width), value):
            return types.void
        return None

    return typer


@lower_builtin(operator.setitem, Rows, types.Integer, Lanes)
@lower_builtin(operator.setitem, Rows, types.Integer, types.Float)
@lower_builtin(operator.setitem, Rows, types.Integer, types.Integer)
def _lower_setitem(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    rows, _, kind = signature.args
    pointer = _vector_pointer(context, builder, signature, values)
    builder.store(_spread(context, builder, kind, values[2], Lanes(rows.width)), pointer, align=_BYTES)
    return context.get_dummy_value()


def _vector_pointer(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    address = _address(context, builder, signature, values)
    return builder.bitcast(address, Lanes(signature.args[0].width).vector.as_pointer())


def _pointer(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
    return builder.gep(values[0], [values[1]])


def _address(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    rows, kind = signature.args[:2]
    row = context.cast(builder, values[1], kind, types.intp)
    return builder.gep(values[0], [builder.mul(row, ir.Constant(row.type, rows.width))])
