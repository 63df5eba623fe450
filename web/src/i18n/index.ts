import i18n from "i18next";
import { initReactI18next } from "react-i18next";
import en from "./en.json";

export const LANGUAGES = ["en", "zh"] as const;
export type Language = (typeof LANGUAGES)[number];

void i18n.use(initReactI18next).init({
  resources: { en: { translation: en } },
  lng: "en",
  fallbackLng: "en",
  keySeparator: false,
  nsSeparator: false,
  interpolation: { escapeValue: false },
});

const loaded = new Set<Language>(["en"]);

/** Say everything in this language from now on; its catalogue is loaded when it is first spoken. */
export async function speak(language: Language): Promise<void> {
  if (language === "zh" && !loaded.has("zh")) {
    const { default: zh } = await import("./zh.json");
    loaded.add("zh");
    i18n.addResourceBundle("zh", "translation", zh);
  }
  await i18n.changeLanguage(language);
}

export default i18n;
