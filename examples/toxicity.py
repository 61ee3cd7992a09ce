"""Twelve toxic effects of molecules: a graph network on Tox21.

A `MolecularGraphNet` reads atoms and bonds and tells the probability of each effect;
one label in six was never measured. The epoch is chosen on the validation part; the
test part is looked at once a seed, and scored by the mean ROC-AUC of the effects. A
random forest on Morgan fingerprints is trained on the same parts, effect by effect.

    python examples/toxicity.py                           # both splits, 3 seeds
    python examples/toxicity.py --splits random --seeds 5

The network of the first seed is exported, served and asked over gRPC, and what each
atom contributes to one effect is drawn.
"""

import keras
import molecule_runs as runs
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from keras_attn.data import moleculenet

# Ligands of the aryl hydrocarbon receptor, planar and aromatic, and one that is none.
EFFECT = "NR-AhR"
DRAWN = {
    "benzo[a]pyrene": "c1ccc2c(c1)cc1ccc3cccc4ccc2c1c34",
    "beta-naphthoflavone": "O=c1cc(-c2ccccc2)oc2ccc3ccccc3c12",
    "glucose": "OCC1OC(O)C(O)C(O)C1O",
}


def mean_auc(labels, predictions):
    """Over the effects that the part has both answers of."""
    scores = []
    for truth, found in zip(labels.T, predictions.T, strict=True):
        known = ~np.isnan(truth)
        if len(np.unique(truth[known])) == 2:
            scores.append(roc_auc_score(truth[known], found[known]))
    return float(np.mean(scores))


def run(data, kind, seed, arguments):
    """Trains both rivals on one split; returns network, split and test ROC-AUCs."""
    split = data.split(kind, seed)
    share = np.clip(np.nanmean(data.targets[split.train], axis=0), 0.01, 0.99)
    model, answers = runs.train(
        data,
        split,
        "classification",
        score=mean_auc,
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        first_bias=np.log(share / (1 - share)),
        arguments=arguments,
        seed=seed,
        batch_size=64,
        learning_rate=2e-3,
        units=128,
        num_layers=4,
        dropout=0.2,
        name="toxicity",
    )
    forest = runs.forest_answers(
        lambda: RandomForestClassifier(runs.TREES, n_jobs=-1, random_state=seed),
        data,
        split,
    )
    labels = data.targets[split.test]
    scores = {
        "graph network": mean_auc(labels, answers),
        "forest": mean_auc(labels, forest),
    }
    print(f"{kind} split, seed {seed}: {scores}", flush=True)
    return model, split, scores


def main():
    arguments = runs.parse_arguments(__doc__, "toxicity", epochs=25)
    data = runs.Data(*moleculenet.load("tox21"), arguments.limit)
    figures, first = {}, None
    for kind in arguments.splits:
        for seed in range(arguments.seeds):
            model, split, scores = run(data, kind, seed, arguments)
            first = first or (model, split)
            for name, score in scores.items():
                figures.setdefault((kind, name), []).append(score)
    runs.report(figures, "mean ROC-AUC", arguments)

    model, split = first
    card = {
        "description": "Probabilities of the twelve toxic effects of Tox21.",
        "data": "Tox21, as in MoleculeNet.",
        "tasks": list(data.tasks),
        "metrics": {" ".join(names): scores for names, scores in figures.items()},
        "limits": "A screening model; it says nothing of doses or of safety.",
    }
    answer = runs.serve(model, "toxicity", data, split.test[:8], arguments, card)
    for row, chances in zip(split.test[:8], answer["probabilities"], strict=True):
        effect = int(np.argmax(chances))
        print(f"{data.smiles[row]}: {data.tasks[effect]} {chances[effect]:.2f}")
    titles = {smiles: f"{EFFECT}: {name}" for name, smiles in DRAWN.items()}
    effect = data.tasks.index(EFFECT)
    runs.draw(model, titles, arguments.output / "atoms.png", effect)


if __name__ == "__main__":
    main()
