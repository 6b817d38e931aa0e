-- Argument: tenant. Gives how many sessions it removed.
return removeAll(key('tenant', ARGV[2]), nil)
