"""One file per algorithm: image in, result out. Pure: no clock, network, settings or globals."""
