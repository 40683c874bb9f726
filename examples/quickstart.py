"""gazekit from Python: load, build, train, predict. In a notebook the lines of ``main`` are all that is needed."""

import gazekit


def main() -> None:
    """Train Mammo-Net at demonstration size on a small phantom, and predict its test part."""
    registry = gazekit.load_registry()
    preset = registry.preset("mammonet_small", overrides=["data.exams=60", "training.epochs=3"])
    data = gazekit.PreparedDataset.open(gazekit.default_data(preset, registry))  # or the folder of your own
    model = gazekit.build_model(preset, registry, classes=len(data.classes))  # a torch.nn.Module
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    trained = gazekit.train(preset, data, "runs/quickstart", registry=registry)
    predictions = trained.predict(data, "test")
    for exam, probabilities in zip(predictions.indices, predictions.probabilities, strict=True):
        print(data.exam_ids[exam], data.classes[data.labels[exam]], probabilities.round(3))
    print("AUC", gazekit.evaluate(trained)["metrics"]["classification"]["auc"])


if __name__ == "__main__":  # worker processes import this file
    main()
