"""Operations: configuration, composition, commands and reports."""
