"""The genome: a list of weight matrices over one vector of float32, their layout, and noise."""
