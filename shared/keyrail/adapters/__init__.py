"""One file a technology; its SDK is imported inside, its errors are translated here, its types stay here."""
