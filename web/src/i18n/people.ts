// What the pages of people and of the audit log say, in both languages: loaded with them, and not before.

import i18n from "i18next";
import en from "./people.en.json";
import zh from "./people.zh.json";

i18n.addResourceBundle("en", "translation", en);
i18n.addResourceBundle("zh", "translation", zh);
