"""Operations with more than one implementation. The function called chooses the one that runs."""
