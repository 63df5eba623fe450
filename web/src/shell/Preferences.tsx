import { ActionIcon, Menu, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useManner } from "../manner";
import { Icon } from "../parts/Icon";

const SCHEMES = ["auto", "light", "dark"] as const;

/** Language, zone of times, light or dark. */
export function Preferences() {
  const { t } = useTranslation();
  const { language, setLanguage, utc, setUtc } = useManner();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end" withinPortal width={220} keepMounted={false}>
      <Menu.Target>
        <Tooltip label={t("shell.preferences")}>
          <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("shell.preferences")}>
            <Icon name="gear" size={18} />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t("shell.language")}</Menu.Label>
        <Menu.RadioGroup value={language} onChange={(value) => setLanguage(value === "zh" ? "zh" : "en")}>
          <Menu.RadioItem value="en">
            <span lang="en">English</span>
          </Menu.RadioItem>
          <Menu.RadioItem value="zh">
            <span lang="zh-CN">中文</span>
          </Menu.RadioItem>
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Label>{t("shell.times")}</Menu.Label>
        <Menu.RadioGroup value={utc ? "utc" : "local"} onChange={(value) => setUtc(value === "utc")}>
          <Menu.RadioItem value="local">{t("shell.local")}</Menu.RadioItem>
          <Menu.RadioItem value="utc">UTC</Menu.RadioItem>
        </Menu.RadioGroup>
        <Menu.Divider />
        <Menu.Label>{t("shell.looks")}</Menu.Label>
        <Menu.RadioGroup
          value={colorScheme}
          onChange={(value) => setColorScheme(SCHEMES.find((one) => one === value) ?? "auto")}
        >
          {SCHEMES.map((scheme) => (
            <Menu.RadioItem key={scheme} value={scheme}>
              {t(`shell.scheme.${scheme}`)}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
      </Menu.Dropdown>
    </Menu>
  );
}
