"""The five folds of stimulated neurons that fits are tested on: left and right partners always in the same one."""

from __future__ import annotations

from .atlas import Atlas

# Classes in random order, each to the fold with the fewest pairs so far; the lists are the definition. A partner in
# another fold would tell the answer: mirror pairs predict each other at an AUROC of 0.70.
FOLDS = tuple(
    tuple(names.split())
    for names in (
        "AFDL AFDR AIBL AIBR AIZL AIZR ASEL ASER ASJL ASJR ASKL ASKR AUAL AUAR AVBL AVBR AVDL AVDR DA1 I1L I1R I4 "
        "I6 IL2VL IL2VR RIAL RIAR RIBL RIBR RIFR RMDL RMDR SAADL SAADR URAVL URAVR VA1 VB1",
        "ADEL ADER AS1 ASGL ASGR AVEL AVER BAGL BAGR CEPVL CEPVR DB2 I2L I2R IL1VL IL1VR IL2DL IL2DR M3L M3R RID "
        "RIPL RIVL RIVR RMDDL RMDDR SMDVL SMDVR URYVL URYVR VB2",
        "ADLL ADLR AIML AIMR AIYL AIYR ALA AQR ASIL ASIR AVAL AVAR CEPDL CEPDR FLPL FLPR IL1R IL2L IL2R M1 MCL "
        "MCR MI OLQVL OLQVR RMDVL RMDVR RMEV SAAVL SAAVR URXL URXR",
        "ASHL ASHR AVG AVKL AVKR AVL AWAL AWAR AWBL AWBR AWCOF AWCON DD1 IL1DL IL1DR OLLL OLLR RIH RIML RIMR RIS "
        "RMED RMFL RMFR RMGL RMGR SABD SMBDL SMBDR SMBVL SMBVR URADL URADR URYDL URYDR",
        "ADAL ADAR ADFL AINL AINR AVFL AVHL AVHR AVJL AVJR I3 M2L M2R M5 NSML NSMR OLQDL OLQDR RICL RICR RIGL "
        "RIGR RIR RMEL RMER SABVL SABVR SIBVR SMDDL SMDDR URBL URBR",
    )
)


def columns(atlas: Atlas) -> list[list[int]]:
    """Return the columns of each fold, counted from 0, without neurons that the atlas's strain has no pairs of."""
    stimulated = set(atlas.stimulated.tolist())
    return [[row for name in fold if (row := atlas.row(name)) in stimulated] for fold in FOLDS]
