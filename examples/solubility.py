"""How well molecules dissolve in water: a graph network on ESOL.

A `MolecularGraphNet` reads atoms and bonds and tells the logarithm of the solubility in
mol per litre. The epoch is chosen on the validation part; the test part is looked at
once a seed. A random forest on Morgan fingerprints is trained on the same parts.

    python examples/solubility.py                           # both splits, 3 seeds
    python examples/solubility.py --splits random --seeds 5

The network of the first seed is exported, served and asked over gRPC, and what each
atom contributes is drawn.
"""

import keras
import molecule_runs as runs
import numpy as np
from sklearn.ensemble import RandomForestRegressor

from keras_attn.data import moleculenet

# Well known, from very soluble to hardly at all.
DRAWN = {
    "glucose": "OCC1OC(O)C(O)C(O)C1O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "anthracene": "c1ccc2cc3ccccc3cc2c1",
}


def rmse(labels, predictions):
    return float(np.sqrt(np.mean((labels - predictions) ** 2)))


def run(data, kind, seed, arguments):
    """Trains both rivals on one split; returns network, split and test RMSEs."""
    split = data.split(kind, seed)
    model, answers = runs.train(
        data,
        split,
        "regression",
        score=lambda labels, predictions: -rmse(labels, predictions),
        loss=keras.losses.MeanSquaredError(),
        first_bias=data.targets[split.train].mean(axis=0),
        arguments=arguments,
        seed=seed,
        batch_size=32,
        learning_rate=3e-3,
        units=64,
        num_layers=4,
        pooling=("attention", "sum"),  # it matters how large a molecule is
        dropout=0.0,
        name="solubility",
    )
    forest = runs.forest_answers(
        lambda: RandomForestRegressor(runs.TREES, n_jobs=-1, random_state=seed),
        data,
        split,
    )
    labels = data.targets[split.test]
    scores = {"graph network": rmse(labels, answers), "forest": rmse(labels, forest)}
    print(f"{kind} split, seed {seed}: {scores}", flush=True)
    return model, split, scores


def main():
    arguments = runs.parse_arguments(__doc__, "solubility", epochs=80)
    data = runs.Data(*moleculenet.load("esol"), arguments.limit)
    figures, first = {}, None
    for kind in arguments.splits:
        for seed in range(arguments.seeds):
            model, split, scores = run(data, kind, seed, arguments)
            first = first or (model, split)
            for name, score in scores.items():
                figures.setdefault((kind, name), []).append(score)
    runs.report(figures, "RMSE", arguments)

    model, split = first
    card = {
        "description": "Logarithm of a molecule's solubility in water, in mol/l.",
        "data": "ESOL (Delaney, 2004), as in MoleculeNet.",
        "metrics": {" ".join(names): scores for names, scores in figures.items()},
    }
    answer = runs.serve(model, "solubility", data, split.test[:8], arguments, card)
    for row, value in zip(split.test[:8], answer["values"][:, 0], strict=True):
        measured = data.targets[row, 0]
        print(f"{data.smiles[row]}: {value:.2f}, measured {measured:.2f}")
    titles = {smiles: name for name, smiles in DRAWN.items()}
    runs.draw(model, titles, arguments.output / "atoms.png")


if __name__ == "__main__":
    main()
