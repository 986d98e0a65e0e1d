"""The registered circuits, each with its defaults and with options that change how it computes."""

from nervecord.circuits.registry import circuit_names

JOINTS, BATCH = 5, 7
SENSES = {
    "joint_pos": JOINTS,
    "joint_vel": JOINTS,
    "body_velocities": 18,
    "to_target": 2,
    "odour": 1,
    "touch": JOINTS + 1,
    "context": 6,
}
VARIANTS = {
    "ncap": [
        {"oscillator": False},
        {"sharing": False},
        {"sign_constraints": False, "init": "uniform"},
        {"controls": True},
    ],
    "cpg": [{"feedback": True}],
    "relay": [{"init": "worm", "limit": 12.0}, {"velocity": True}],
    "escape": [{"init": "worm", "limit": 12.0, "velocity": True}],
    "klinotaxis": [{"klinokinesis": False}, {"klinotaxis": False}],
    "relay_klinotaxis": [{"velocity": True}, {"klinotaxis": False}],
    "navigator": [{"controller": "hand"}, {"controller": "learned"}, {"controller": "learned", "sharing": False}],
    "mlp": [
        {"hidden": (8,)},
        {"hidden": (8, 7), "neuron": "quadratic"},
        {"hidden": (8,), "neuron": "compact", "gamma": 0.0},
        {"hidden": (12, 12), "ensembles": "body", "p_inter": 0.3},
        {"hidden": (12, 12), "ensembles": "interleaved", "n_ensembles": 3, "prune": "hebb", "grow": "random"},
        {"hidden": (12, 12, 9), "ensembles": "mixer", "n_ensembles": 3},
    ],
    "rbf": [{"units": 6, "kernel": "gauss"}, {"units": 5, "kernel": "hat"}],
    "policy": [
        {"circuit": "gru", "options": {"units": 4}, "bound": "tanh"},
        {"circuit": "mlp", "options": {"hidden": (12,), "ensembles": "body"}},
    ],
    "dendrites": [{"hidden": (6, 5), "sparsity": 0.5}],
    "recogniser": [{"units": 9, "window": 0.06}, {"units": 0, "window": 0.06}],
    "ctrnn": [
        {"units": 9, "form": "drive", "time_constants": "clamp", "tau": (1.5, 4.0)},
        {"units": 9, "time_constants": "fixed", "learn_start": False, "rank": 2, "substeps": 3},
        {"units": 6, "delays": 3},
        {"units": 12, "ensembles": "body", "p_inter": 0.3},
        {"units": 12, "ensembles": "random", "n_ensembles": 3},
        {"units": 12, "ensembles": "mixer", "n_ensembles": 3},
    ],
    "spiking": [
        {"units": 7, "substeps": 1, "learn_tau": False},
        {"units": 6, "substeps": 0},
        {"units": 5, "delays": 4},
    ],
    "connectome": [{"nonnegative": "softplus"}, {"nonnegative": "projection"}],
    "lif": [{"units": 6, "substeps": 3, "adaptation": True}, {"units": 5, "reset": "zero", "learn_tau": False}],
    "ca3": [{"cues": 3, "content": 5}],
    "nalsm": [{"units": 27, "samples": 2}],
    "elm": [{"units": 5, "branches": 3, "layers": 2, "learn_tau": False, "tau": (2.0, 50.0)}],
    "ltc": [{"units": 9, "sparsity": 0.2}],
    "cfc": [{"units": 9, "sparsity": 0.2}],
    "gru": [{"units": 7, "rank": 3}],
    "lstm": [{"units": 7, "rank": 3}],
    "ctm": [
        {"d_model": 24, "d_input": 8, "n_synch": 6, "deep": False, "ticks": 2, "heads": (8,)},
        {"d_model": 24, "d_input": 8, "n_synch": 6, "synapse_depth": 3, "memory_length": 5},
    ],
}
CASES = [(name, options) for name in circuit_names() for options in [{}, *VARIANTS.get(name, [])]]
