"""Sweeps as estimators of scikit-learn: `SweepClassifier` and `SweepRegressor`."""
