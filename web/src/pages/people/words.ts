// How the permission table is said: by this person's language, and by the server's words where a catalogue has none.

import { useTranslation } from "react-i18next";
import type { Schemas } from "../../api/client";

export type Permission = Schemas["PermissionView"];

export function usePermissionWords() {
  const { t } = useTranslation();
  return {
    role: (role: string) => t(`role.${role}`, { defaultValue: role.replaceAll("_", " ") }),
    roleHint: (role: string) => t(`roleHint.${role}`, { defaultValue: "" }),
    permission: (one: Permission) => t(`permission.${one.name}`, { defaultValue: one.allows }),
  };
}
