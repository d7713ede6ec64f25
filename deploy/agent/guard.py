"""What a release's rpm does by itself: nothing, except to refuse that a release is erased while a generation needs it.

In Lua, which is part of rpm: it works whatever else is erased with it. The text is here because the agent knows it by
heart: a package with any other scriptlet would run as root, and no signature covers that.
"""

from __future__ import annotations

_TEXT = r"""
-- Refuse to erase a release that a generation needs: what `current` names runs, the others are what rollback goes to.
-- An upgrade to a rebuilt package of the same name (arg[2] above 0) replaces the files, and takes none away.
if tonumber(arg[2]) == 0 then
  local base, version = "/opt/@name@", "@version@"
  local function leads_here(link)
    local target = posix.readlink(link)
    return target ~= nil and target:match("([^/]+)/*$") == version
  end
  local now = (posix.readlink(base .. "/current") or ""):match("([^/]+)/*$")
  local why = nil
  if posix.stat(base .. "/generations") then
    for _, number in ipairs(posix.dir(base .. "/generations")) do
      if number:match("^%d+$") and leads_here(base .. "/generations/" .. number .. "/release") then
        why = why or ("generation " .. number .. " is kept for rollback and needs it")
        if number == now then
          why = "generation " .. number .. ", which is current, runs it"
        end
      end
    end
  end
  if leads_here(base .. "/current") then
    why = "/opt/@name@/current names it"
  end
  if why then
    io.stderr:write("@name@: release " .. version .. " stays: " .. why .. ".\n",
      "  -> switch to another release and prune first; to give @name@ up altogether:\n",
      "     systemctl disable --now @name@.service && rm -r /opt/@name@/current /opt/@name@/generations\n")
    error("release " .. version .. " is needed: " .. why)
  end
end
"""


def text(name: str, version: str) -> str:
    """Give the scriptlet (`%preun -p <lua>`) of a release."""
    return _TEXT.strip().replace("@name@", name).replace("@version@", version)
