// Every page of the registry that `Images.usual` fills: by name, its path below `/ui`.

export const PAGES = {
  repositories: "/",
  "a prefix": "/?under=team",
  "no repository found": "/?q=none-of-them",
  tags: "/team/app/-/tags",
  "tags by version": "/team/app/-/tags?sort=version",
  "no order": "/team/app/-/tags?sort=odd",
  index: "/team/app/-/tags/v1.10.0",
  image: "/team/app/-/tags/dev",
  chart: "/charts/redis/-/tags/20.1.0",
  collections: "/-/collections",
  deletion: "/team/app/-/delete?tag=dev&tag=latest&tag=none",
  "deletion of all": "/team/app/-/delete?all=1",
  restore: "/team/app/-/restore",
  missing: "/team/app/-/tags/none",
};

/** The pages of a registry with users, for a visitor without a login. */
export const GUARDED = {
  login: "/-/login",
  "needs a login": "/team/app/-/tags",
};

export const LANGUAGES = { en: "en", "zh-HK": "zh-Hant-HK" };
export const THEMES = ["light", "dark"];
