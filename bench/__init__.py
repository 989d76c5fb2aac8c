"""What Keyrail costs, beside what it stands on: ratios measured side by side in one run. `make bench`"""
