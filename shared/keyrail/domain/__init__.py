"""Pure rules: no I/O, clock, environment or SDK. Time comes in as an aware UTC datetime."""
