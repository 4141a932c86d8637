-- Sends everything that is for other servers to a Causeway in front of this Prosody, without DNS.
--
--   modules_enabled = { ..., "causeway" }
--   causeway_inside = { "10.0.0.1", 5268 } -- as [listen] inside of the router has it
--
-- Written for Prosody 0.12, which has no event before it connects: where it asks for the servers of
-- a domain, this answers with the router. Whatever the domain, the router tells by the stream's 'to'.

module:set_global();

local function library(name)
	local found, loaded = pcall(require, "prosody." .. name); -- as of Prosody 13
	return found and loaded or require(name);
end

local basic = library "net.resolvers.basic";
local manual = library "net.resolvers.manual";
local service = library "net.resolvers.service";

local from_dns = service.new;

function service.new(domain, name, protocol, extra)
	if name == "xmpp-server" then
		local inside = module:get_option_array("causeway_inside");
		return basic.new(inside[1], inside[2], protocol, extra);
	elseif name == "xmpps-server" then
		return manual.new({}, protocol, extra); -- the inside listener speaks STARTTLS
	end
	return from_dns(domain, name, protocol, extra);
end

if not module:get_option_array("causeway_inside") then
	module:log("error", "causeway_inside is missing: the router's inside address and its port");
end

function module.unload()
	service.new = from_dns;
end
