"""Rename the weights of published Continuous Thought Machines to the names used here.

Source of the names: the authors' code for reinforcement learning; its layer numbers also count dropout and
reshaping layers, which have no weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...errors import CircuitMismatch

# Prefix of a name in the published checkpoint -> prefix here; the first match wins.
_NAMES = {
    "start_trace": "start_pre",
    "start_activated_trace": "start_post",
    "decay_params_out": "synchronisation.decay",
    "backbone.input_projector.1.": "encoder.0.",
    "backbone.input_projector.3.": "encoder.2.",
    "backbone.input_projector.4.": "encoder.3.",
    "backbone.input_projector.6.": "encoder.5.",
    "synapses.1.": "synapses.from_features.",
    "synapses.3.": "synapses.rest.1.",
    "synapses.4.": "synapses.rest.2.",
    "synapses.6.": "synapses.rest.4.",
    "synapses.first_projection.0.": "synapses.from_features.",
    "synapses.first_projection.1.": "synapses.rest.first.0.",
    "synapses.down_projections.": "synapses.rest.down.",
    "synapses.up_projections.": "synapses.rest.up.",
    "synapses.skip_lns.": "synapses.rest.skip.",
}
# Indices of the neurons that are read. They name the first neurons, yet the authors' code reads the last.
_CONSTANTS = {"out_neuron_indices_left", "out_neuron_indices_right", "diagonal_mask_out"}
_NEURON_MODELS = ("trace_processor.0.0", "trace_processor.0.2")


def from_published(weights: Mapping[str, Tensor], d_input: int) -> dict[str, Tensor]:
    """Return a published checkpoint's weights under the names of `CTM`.

    Args:
        weights: by published name, of the recurrent part: without the authors' actor and critic.
        d_input: size of the encoded sensors, the first columns of the synapses' first layer.

    Raises:
        CircuitMismatch: a name is not a weight of a published CTM, a weight is missing, or a divisor T is 0.
    """
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name in _CONSTANTS or name.startswith(_NEURON_MODELS):
            continue
        theirs = next((prefix for prefix in _NAMES if name.startswith(prefix)), None)
        if theirs is None:
            raise CircuitMismatch(f"{name!r} is not a weight of a published CTM; leave out actor and critic")
        ours = _NAMES[theirs] + name.removeprefix(theirs)
        if ours.startswith(("synapses.rest.down", "synapses.rest.up")):
            # The authors' blocks begin with a dropout layer.
            *block, layer, kind = ours.split(".")
            ours = ".".join((*block, str(int(layer) - 1), kind))
        if ours == "synapses.from_features.weight":
            found["synapses.from_neurons.weight"] = value[:, d_input:]
            value = value[:, :d_input]
        found[ours] = value
    for index, prefix in enumerate(name for name in _NEURON_MODELS if f"{name}.w1" in weights):
        found |= _neuron_model(weights, prefix, index)
    return found


def _neuron_model(weights: Mapping[str, Tensor], prefix: str, index: int) -> dict[str, Tensor]:
    missing = [name for kind in ("w1", "b1", "T") if (name := f"{prefix}.{kind}") not in weights]
    if missing:
        raise CircuitMismatch(f"the published weights lack {', '.join(missing)}")
    weight, bias, divisor = (weights[f"{prefix}.{kind}"] for kind in ("w1", "b1", "T"))
    if not divisor.all():
        raise CircuitMismatch(f"{prefix}.T is 0, and the circuit divides by it; take an earlier checkpoint")
    # Here log T is learned; a negative T equals a positive one with the signs of the layer's weights flipped.
    return {
        f"neuron_models.weight.{index}": weight.permute(2, 1, 0) * divisor.sign(),
        f"neuron_models.bias.{index}": bias.permute(1, 2, 0) * divisor.sign(),
        f"neuron_models.log_divisor.{index}": divisor.abs().log(),
    }
