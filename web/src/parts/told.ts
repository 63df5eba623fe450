import { notifications } from "@mantine/notifications";
import { useTranslation } from "react-i18next";

/** Say for a moment that something was done. */
export function useTell() {
  const { t } = useTranslation();
  return (message: string) =>
    notifications.show({ message, color: "teal", closeButtonProps: { "aria-label": t("shell.close") } });
}
