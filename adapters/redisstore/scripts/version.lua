-- Arguments: tenant, user. Gives the version as text.
return version(owner(ARGV[2], ARGV[3]))
