//! Image folders, splits, folds, label budgets, the view loader and synthetic core images for SimCLR
