create table flowers (
  id integer primary key,
  sepal_length double precision not null,
  sepal_width double precision not null,
  petal_length double precision not null,
  petal_width double precision not null,
  species text not null
)
