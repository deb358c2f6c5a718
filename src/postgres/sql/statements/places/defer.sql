-- Tables that point at each other are filled and emptied in one transaction. No parameters.
set constraints all deferred
